// The photo, the depth beside or over it or in space, and the probe on it. Knows no network, no file.

import { paintClasses } from "./classes.js";
import { Cloud } from "./cloud.js";
import { paint } from "./palette.js";

const SHOWN_SIDE_PX = 1600; // a photo is drawn no larger: more is not seen and costs memory
const CHIP_TURNS = { x: 0.78, y: 0.14 }; // past these the label turns to stay inside the picture

/** The pictures on the page; calls onProbe({u, v}) when a person moves the probe (0..1 each). */
export class View {
  constructor(root, classes, onProbe) {
    const find = (id) => root.querySelector(`#${id}`);
    this.pair = find("pair");
    this.photo = find("photo");
    this.depth = find("depth");
    this.frames = [find("photo-frame"), find("depth-frame")];
    this.chips = this.pair.querySelectorAll(".chip");
    this.small = document.createElement("canvas"); // the photo at the map's size
    this.classes = classes;
    this.onProbe = onProbe;
    this.probe = { u: 0.5, v: 0.5 };
    this.mode = "side";
    this.cloud = new Cloud(root, (place) => this.moveProbe(place));
    this.cloudByPhoto = true;
    for (const frame of this.frames) {
      frame.addEventListener("pointermove", (event) => this.#point(frame, event));
      frame.addEventListener("pointerdown", (event) => this.#point(frame, event));
      frame.addEventListener("keydown", (event) => this.#key(event));
    }
  }

  /** Draw a decoded photo; its shape is the shape of both frames. */
  showPhoto(bitmap) {
    const scale = Math.min(1, SHOWN_SIDE_PX / Math.max(bitmap.width, bitmap.height));
    this.photo.width = Math.round(bitmap.width * scale);
    this.photo.height = Math.round(bitmap.height * scale);
    const context = this.photo.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, this.photo.width, this.photo.height);
    this.#shape(bitmap.width, bitmap.height);
    this.pair.dataset.photo = "shown";
    this.clearDepth();
  }

  /** The browser cannot decode this photo; the server may. */
  withoutPhoto() {
    this.pair.dataset.photo = "none";
    this.clearDepth();
  }

  /** A camera's picture and its depth, at once; the probe stays and reads the new metres. */
  showPair(bitmap, map, range) {
    if (this.photo.width !== bitmap.width || this.photo.height !== bitmap.height) {
      this.photo.width = bitmap.width;
      this.photo.height = bitmap.height;
      this.#shape(bitmap.width, bitmap.height);
    }
    this.photo.getContext("2d").drawImage(bitmap, 0, 0);
    this.pair.dataset.photo = "shown";
    this.showDepth(map, range);
  }

  clearDepth() {
    this.map = undefined;
    this.probe = { u: 0.5, v: 0.5 };
    this.pair.dataset.depth = "none";
    this.pixels = undefined; // the next map sets the canvas's size, which wipes it
    this.cloud.clear();
  }

  showDepth(map, range) {
    this.map = map;
    if (this.pixels?.width !== map.width || this.pixels?.height !== map.height) {
      this.depth.width = map.width;
      this.depth.height = map.height;
      this.pixels = new ImageData(map.width, map.height);
    }
    if (this.pair.dataset.photo === "none") this.#shape(map.width, map.height);
    this.pair.dataset.depth = "shown";
    this.recolour(range);
    this.moveProbe(this.probe);
  }

  recolour({ nearM, farM }) {
    if (!this.map) return;
    const pixels = new Uint32Array(this.pixels.data.buffer);
    if (this.byClass && this.map.labels) paintClasses(this.map.labels, this.classes.packed, pixels);
    else paint(this.map.values, nearM, farM, pixels);
    this.depth.getContext("2d").putImageData(this.pixels, 0, 0);
    if (this.mode === "cloud") this.cloud.show(this.map, this.#cloudColours(pixels));
  }

  /** "side", "overlay", "classes" over the photo, or "cloud"; in an overlay one frame takes the focus. */
  setMode(mode, range) {
    this.mode = mode;
    this.byClass = mode === "classes";
    this.pair.dataset.mode = this.byClass ? "overlay" : mode;
    this.frames[0].tabIndex = mode === "side" ? 0 : -1;
    this.recolour(range);
  }

  /** The cloud in the photo's colours, or in the depth's. */
  setCloudColours(byPhoto, range) {
    this.cloudByPhoto = byPhoto;
    this.recolour(range);
  }

  setOpacity(share) {
    this.pair.style.setProperty("--opacity", share);
  }

  /** Put the crosshair of both pictures at u, v and label it with the metres there. */
  moveProbe({ u, v }) {
    this.probe = { u: Math.min(1, Math.max(0, u)), v: Math.min(1, Math.max(0, v)) };
    const metres = this.map ? this.map.at(this.probe.u, this.probe.v) : NaN;
    const name = this.classes.names[this.map?.classAt(this.probe.u, this.probe.v) || undefined];
    const text = name ? `${metresText(metres)}, ${name}` : metresText(metres);
    for (const frame of this.frames) {
      const cross = frame.querySelector(".cross");
      cross.style.setProperty("--u", this.probe.u);
      cross.style.setProperty("--v", this.probe.v);
      cross.classList.toggle("turn-x", this.probe.u > CHIP_TURNS.x);
      cross.classList.toggle("turn-y", this.probe.v < CHIP_TURNS.y);
    }
    for (const chip of this.chips) chip.textContent = text;
    this.onProbe({ ...this.probe, metres, name });
  }

  /** Colours of the map's pixels: the photo's, or the ones that the depth is painted with. */
  #cloudColours(painted) {
    if (!this.cloudByPhoto || this.pair.dataset.photo === "none") return painted;
    const { width, height } = this.map;
    Object.assign(this.small, { width, height });
    const context = this.small.getContext("2d", { willReadFrequently: true });
    context.drawImage(this.photo, 0, 0, width, height);
    return new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  }

  #shape(width, height) {
    this.pair.style.setProperty("--aspect", width / height);
  }

  #point(frame, event) {
    if (!this.map) return;
    const box = frame.getBoundingClientRect();
    this.moveProbe({
      u: (event.clientX - box.left) / box.width,
      v: (event.clientY - box.top) / box.height,
    });
  }

  /** One pixel of the map a key press, a twentieth of the picture with Shift. */
  #key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!this.map || event.ctrlKey || event.altKey || event.metaKey) return;
    if (way) {
      const across = event.shiftKey ? 0.05 : Math.max(1 / this.map.width, 0.005);
      const down = event.shiftKey ? 0.05 : Math.max(1 / this.map.height, 0.005);
      this.moveProbe({ u: this.probe.u + way[0] * across, v: this.probe.v + way[1] * down });
    } else if (event.key === "Home") {
      this.moveProbe({ u: 0.5, v: 0.5 });
    } else {
      return;
    }
    event.preventDefault();
  }
}

/** "2.37 m", or words where there is no answer. */
export function metresText(metres) {
  return Number.isFinite(metres) ? `${metres.toFixed(2)} m` : "no answer";
}
