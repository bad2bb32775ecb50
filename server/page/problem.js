// What went wrong, in the server's own words: expected, got, repair. Knows no network and no page.

/** An error a person can act on; the fields are those of the server's problem details. */
export class Problem extends Error {
  constructor({ title, detail = "", status = 0, code = "", expected = "", got = "", repair = "", mayRetry = false }) {
    super(title);
    // What only repeats the fields is left out: each is shown on its own.
    const told = expected && detail.includes(expected) ? "" : detail;
    Object.assign(this, { name: "Problem", title, detail: told, status, code, expected, got, repair, mayRetry });
  }
}
