// The colour legend: how much lies at each distance, and two thumbs for near and far. Knows no photo.

import { axis } from "./depth.js";
import { PALETTE, step } from "./palette.js";

const STRIP_PX = 12; // the colour strip below the bars
const HEADROOM = 0.92; // the tallest bar's share of what is above the strip
const GAP_M = 0.1; // near and far never meet

export const USUAL = { nearM: 0.5, farM: 6 }; // as the server's own colours

/** The legend on the page; calls onRange({nearM, farM}) when a person moves an end. */
export class Legend {
  constructor(root, onRange) {
    const find = (id) => root.querySelector(`#${id}`);
    this.canvas = find("histogram");
    this.near = find("near");
    this.far = find("far");
    this.nearValue = find("near-value");
    this.farValue = find("far-value");
    this.ticks = find("ticks");
    this.marker = find("marker");
    this.onRange = onRange;
    this.endM = 12;
    this.range = { ...USUAL };
    this.near.addEventListener("input", () => this.#moved(this.near));
    this.far.addEventListener("input", () => this.#moved(this.far));
    find("fit").addEventListener("click", () => this.#fit());
    find("reset").addEventListener("click", () => this.setRange(USUAL));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** Show a map's distances; the axis ends past nearly all of them and past the usual range. */
  show(map) {
    this.map = map;
    const { endM, everyM } = axis(Math.max(map.quantile(0.995) * 1.1 || 0, USUAL.farM + 1, this.range.farM));
    this.endM = endM;
    for (const input of [this.near, this.far]) input.max = String(endM);
    this.ticks.replaceChildren();
    for (let metres = 0; metres <= endM; metres += everyM) {
      const tick = document.createElement("span");
      tick.textContent = metres === 0 ? "0 m" : String(metres);
      tick.style.setProperty("--at", metres / endM);
      this.ticks.append(tick);
    }
    this.setRange(this.range);
  }

  setRange({ nearM, farM }) {
    const near = Math.max(0, Math.min(nearM, this.endM - GAP_M));
    const far = Math.min(this.endM, Math.max(farM, near + GAP_M));
    this.range = { nearM: near, farM: far };
    this.near.value = String(near);
    this.far.value = String(far);
    this.nearValue.textContent = `${near.toFixed(2)} m`;
    this.farValue.textContent = `${far.toFixed(2)} m`;
    this.near.setAttribute("aria-valuetext", `${near.toFixed(2)} metres`);
    this.far.setAttribute("aria-valuetext", `${far.toFixed(2)} metres`);
    this.draw();
    this.onRange(this.range);
  }

  /** Point at a distance on the axis; NaN takes the pointer away. */
  point(metres) {
    this.marker.hidden = !Number.isFinite(metres);
    this.marker.style.setProperty("--at", Math.min(1, metres / this.endM));
  }

  draw() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!this.map || clientWidth === 0) return;
    const scale = window.devicePixelRatio || 1;
    const width = (this.canvas.width = Math.round(clientWidth * scale));
    const height = (this.canvas.height = Math.round(clientHeight * scale));
    const strip = Math.round(STRIP_PX * scale);
    const context = this.canvas.getContext("2d");
    const bins = Math.max(24, Math.min(160, Math.floor(clientWidth / 4)));
    const counts = this.map.histogram(this.endM, bins);
    const tallest = Math.max(1, ...counts);
    const barPx = width / bins;
    counts.forEach((count, i) => {
      const bar = Math.round((count / tallest) * (height - strip) * HEADROOM);
      context.fillStyle = this.#colour(((i + 0.5) / bins) * this.endM);
      context.fillRect(i * barPx, height - strip - bar, Math.max(1, barPx - scale), bar);
    });
    for (let x = 0; x < width; x += 1) {
      context.fillStyle = this.#colour(((x + 0.5) / width) * this.endM);
      context.fillRect(x, height - strip + scale, 1, strip - scale);
    }
  }

  /** Beyond the range the colour holds, and is fainter so that the ends are seen. */
  #colour(metres) {
    const { nearM, farM } = this.range;
    const [r, g, b] = PALETTE[step(metres, nearM, farM)];
    return `rgb(${r} ${g} ${b} / ${metres < nearM || metres > farM ? 0.35 : 1})`;
  }

  #moved(thumb) {
    let nearM = Number(this.near.value);
    let farM = Number(this.far.value);
    if (thumb === this.near) nearM = Math.min(nearM, farM - GAP_M);
    else farM = Math.max(farM, nearM + GAP_M);
    this.setRange({ nearM, farM });
  }

  #fit() {
    if (!this.map || this.map.sorted.length === 0) return;
    this.setRange({ nearM: this.map.quantile(0.01), farM: this.map.quantile(0.99) });
  }
}
