// What went wrong, in the server's own words: expected, got, repair. Knows no network and no page.

/** An error a person can act on; the fields are those of the server's problem details. */
export class Problem extends Error {
  constructor({ title, detail = "", status = 0, code = "", expected = "", got = "", repair = "" }) {
    super(title);
    Object.assign(this, { name: "Problem", title, detail, status, code, expected, got, repair });
  }

  /** Whether sending the same again may help: nothing answered, or the server was busy or starting. */
  get mayRetry() {
    return this.code === "no_answer" || [429, 503, 504].includes(this.status);
  }
}
