// A depth map and the questions asked of it. Knows no colour, no canvas and no network.

const SAMPLE = 100_000;

/**
 * Depth in metres, (height, width) in C order; NaN where there is no answer. `labels` are class ids
 * in the same order, undefined of a model without classes. `camera` {fx, fy, cx, cy}, in pixels of
 * this map, is what the metres were scaled with; undefined where it was not told.
 */
export class DepthMap {
  constructor({ values, height, width, labels, camera }) {
    Object.assign(this, { values, height, width, labels, camera });
  }

  /** Answered distances, nearest first: every one of a small map, a sample of a big one. */
  get sorted() {
    // When first asked for, as a live picture has no time for it; and a sample, as sorting every
    // pixel of a big photo would hold the page up.
    const stride = Math.max(1, Math.floor(this.values.length / SAMPLE));
    const sampled = (metres, i) => i % stride === 0 && Number.isFinite(metres);
    return (this.sortedOnce ??= this.values.filter(sampled).sort());
  }

  /** Metres at u (0 left .. 1 right), v (0 top .. 1 bottom): the pixel that covers the point. */
  at(u, v) {
    return this.values[this.#place(u, v)];
  }

  /** The class id there; undefined of a model without classes. */
  classAt(u, v) {
    return this.labels?.[this.#place(u, v)];
  }

  #place(u, v) {
    const x = Math.min(this.width - 1, Math.max(0, Math.floor(u * this.width)));
    const y = Math.min(this.height - 1, Math.max(0, Math.floor(v * this.height)));
    return y * this.width + x;
  }

  /** Share of pixels without an answer, 0..1. */
  get missing() {
    let answered = 0;
    for (const metres of this.values) if (Number.isFinite(metres)) answered += 1;
    return this.values.length ? 1 - answered / this.values.length : 0;
  }

  /** The distance that a share q (0..1) of the answered pixels does not exceed; NaN for an empty map. */
  quantile(q) {
    if (this.sorted.length === 0) return NaN;
    return this.sorted[Math.round(q * (this.sorted.length - 1))];
  }

  /** Pixel counts in equal bins over 0..maxM; what lies beyond counts in the last bin. */
  histogram(maxM, bins) {
    const counts = new Uint32Array(bins);
    for (const metres of this.values) {
      if (!Number.isFinite(metres)) continue;
      counts[Math.max(0, Math.min(bins - 1, Math.floor((metres / maxM) * bins)))] += 1;
    }
    return counts;
  }
}

/** Whole metres at which an axis over 0..maxM ends, and the distance between its ticks. */
export function axis(maxM) {
  const endM = Math.max(2, Math.ceil(maxM));
  const everyM = [1, 2, 5, 10, 20, 50].find((every) => endM / every <= 12) ?? 100;
  return { endM, everyM };
}

/** Horizontal field of view, degrees, of a picture widthPx wide at a focal length in pixels. */
export function hfovDeg(focalPx, widthPx) {
  return (2 * Math.atan(widthPx / 2 / focalPx) * 180) / Math.PI;
}
