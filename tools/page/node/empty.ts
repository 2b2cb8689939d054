/** What a page has nothing of. */
export default {};
