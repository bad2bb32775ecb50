// How the live picture does: age, rate, and what became of every frame. Knows no clock and no page.

const WINDOW_MS = 2000; // long enough to be read, short enough to be now

export class Meter {
  constructor() {
    this.painted = []; // {atMs, ageMs} of the last two seconds
    this.counts = new Map(); // frames by outcome: "answered", "superseded", "bad_image", ...
  }

  count(outcome) {
    this.counts.set(outcome, (this.counts.get(outcome) ?? 0) + 1);
  }

  /** A depth map was painted at atMs, ageMs after its frame was captured. */
  paint(atMs, ageMs) {
    this.painted.push({ atMs, ageMs });
    this.#forget(atMs);
  }

  /** {p50Ms, p95Ms, fps} over the last two seconds; ages are NaN where nothing was painted. */
  now(nowMs) {
    this.#forget(nowMs);
    const ages = this.painted.map(({ ageMs }) => ageMs).sort((a, b) => a - b);
    const at = (share) => ages[Math.max(0, Math.ceil(share * ages.length) - 1)] ?? NaN;
    const first = this.painted[0]?.atMs ?? nowMs;
    const last = this.painted.at(-1)?.atMs ?? nowMs;
    return {
      p50Ms: at(0.5),
      p95Ms: at(0.95),
      fps: last > first ? ((ages.length - 1) * 1000) / (last - first) : 0,
    };
  }

  #forget(nowMs) {
    while (this.painted.length > 0 && this.painted[0].atMs < nowMs - WINDOW_MS) this.painted.shift();
  }
}
