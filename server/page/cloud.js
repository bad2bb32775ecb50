// The point cloud on the page: turned by hand, wheel and keys. Knows no network and no photo.

import { Painter } from "./gl.js";
import { lensOf, Orbit } from "./orbit.js";
import { coloursOf, lift, pick } from "./points.js";

const TURN = Math.PI; // radians for a drag across the whole picture
const KEY_TURN = Math.PI / 36; // 5 degrees a key press
const KEY_ZOOM = 1.15;
const WHEEL_ZOOM = 0.0015; // natural logarithm a pixel of wheel
const SHARPEST = 2; // more pixels to a CSS pixel are not seen, and cost
const NEAR_PX = 6; // a point this close to the pointer is meant

const KEYS = {
  ArrowLeft: (orbit) => orbit.turn(KEY_TURN, 0),
  ArrowRight: (orbit) => orbit.turn(-KEY_TURN, 0),
  ArrowUp: (orbit) => orbit.turn(0, -KEY_TURN),
  ArrowDown: (orbit) => orbit.turn(0, KEY_TURN),
  "+": (orbit) => orbit.zoom(KEY_ZOOM),
  "=": (orbit) => orbit.zoom(KEY_ZOOM), // + without Shift
  "-": (orbit) => orbit.zoom(1 / KEY_ZOOM),
  Home: (orbit) => orbit.reset(),
};

/** Points of a depth map; calls onPoint({u, v}) with the place in the map that is pointed at. */
export class Cloud {
  constructor(root, onPoint) {
    const find = (id) => root.querySelector(`#${id}`);
    this.frame = find("cloud-frame");
    this.canvas = find("cloud");
    this.note = find("cloud-note");
    this.cross = this.frame.querySelector(".cross");
    this.onPoint = onPoint;
    this.orbit = new Orbit();
    this.held = new Map(); // pointers that are down, by id
    const on = (name, handle) => this.frame.addEventListener(name, handle);
    on("pointerdown", (event) => this.#press(event));
    on("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) on(name, (event) => this.held.delete(event.pointerId));
    on("pointerleave", () => (this.cross.hidden = true));
    on("wheel", (event) => this.#wheel(event));
    on("keydown", (event) => this.#key(event));
    find("cloud-reset").addEventListener("click", () => this.#change(() => this.orbit.reset()));
    this.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault()); // it comes back
    this.canvas.addEventListener("webglcontextrestored", () => this.#restore());
    new ResizeObserver(() => this.#drawSoon()).observe(this.canvas);
  }

  /** Another picture: the next map is looked at from the start. */
  clear() {
    this.map = this.points = undefined;
    this.painter?.place(new Float32Array(0));
    this.cross.hidden = true;
    this.#drawSoon();
  }

  /** painted: the colours of the map's pixels, Uint32Array as ImageData holds them. */
  show(map, painted) {
    if (!map.camera) {
      this.#say("The answer names no focal length, without which points have no place.");
      return;
    }
    if (!this.#ready()) return;
    const first = !this.map;
    if (this.map !== map) {
      this.map = map;
      this.points = lift(map);
      this.painter.place(this.points.xyz);
    }
    if (first) this.orbit.look(map.quantile(0.5) || 1);
    this.colours = coloursOf(this.points, painted);
    this.painter.colour(this.colours);
    this.#drawSoon();
  }

  /** WebGL from the first time it is needed; false, and why on the page, where there is none. */
  #ready() {
    if (this.without) return false;
    try {
      this.painter ??= new Painter(this.canvas);
    } catch (error) {
      this.without = true;
      this.#say(
        `Points cannot be drawn here: ${error.message}. The PLY file below a photo holds them for`
          + " another program.",
      );
      return false;
    }
    this.note.hidden = true;
    return true;
  }

  #restore() {
    this.painter = undefined;
    if (!this.map || !this.#ready()) return;
    this.painter.place(this.points.xyz);
    this.painter.colour(this.colours);
    this.#drawSoon();
  }

  #say(text) {
    this.note.textContent = text;
    this.note.hidden = false;
  }

  #drawSoon() {
    if (this.drawing || !this.painter) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = undefined;
      this.#draw();
    });
  }

  #draw() {
    const { clientWidth, clientHeight } = this.canvas;
    if (clientWidth === 0) return;
    const sharp = Math.min(SHARPEST, window.devicePixelRatio || 1);
    this.canvas.width = Math.round(clientWidth * sharp);
    this.canvas.height = Math.round(clientHeight * sharp);
    if (!this.map) return; // setting the size has wiped it
    const lens = lensOf(this.map, clientWidth / clientHeight);
    this.matrix = this.orbit.matrix(lens);
    const canvasFocalPx = (lens.acrossY * this.canvas.height) / 2;
    this.painter.draw(this.matrix, (this.points.stride / this.map.camera.fy) * canvasFocalPx);
  }

  #change(step) {
    step();
    this.cross.hidden = true; // what was pointed at has moved
    this.#drawSoon();
  }

  #press(event) {
    this.held.set(event.pointerId, event);
    this.frame.setPointerCapture(event.pointerId);
  }

  /** One finger or a mouse turns, two fingers zoom, and a mouse that is not pressed points. */
  #move(event) {
    const before = this.held.get(event.pointerId);
    if (!before) {
      if (event.pointerType === "mouse") this.#point(event);
      return;
    }
    const [one, two] = [...this.held.values()];
    this.held.set(event.pointerId, event);
    if (!two) {
      const perPixel = TURN / this.frame.clientWidth;
      const [right, down] = [event.clientX - before.clientX, event.clientY - before.clientY];
      this.#change(() => this.orbit.turn(-right * perPixel, down * perPixel));
      return;
    }
    const other = one.pointerId === event.pointerId ? two : one;
    const apart = ({ clientX, clientY }) => Math.hypot(clientX - other.clientX, clientY - other.clientY) || 1;
    this.#change(() => this.orbit.zoom(apart(event) / apart(before)));
  }

  #wheel(event) {
    if (!this.points) return;
    event.preventDefault(); // the page stays where it is
    this.#change(() => this.orbit.zoom(Math.exp(-event.deltaY * WHEEL_ZOOM)));
  }

  #key(event) {
    const step = KEYS[event.key];
    if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    this.#change(() => step(this.orbit));
  }

  #point(event) {
    if (!this.points || !this.matrix) return;
    const box = this.frame.getBoundingClientRect();
    const [u, v] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const near = { nearX: (2 * NEAR_PX) / box.width, nearY: (2 * NEAR_PX) / box.height };
    const pixel = pick(this.points, this.matrix, { x: 2 * u - 1, y: 1 - 2 * v, ...near });
    this.cross.hidden = pixel === undefined;
    if (pixel === undefined) return;
    this.cross.style.setProperty("--u", u);
    this.cross.style.setProperty("--v", v);
    const { width, height } = this.map;
    this.onPoint({ u: ((pixel % width) + 0.5) / width, v: (Math.floor(pixel / width) + 0.5) / height });
  }
}
