// A camera or a clip on the page: to the server, depth to canvas, figures beside it. Knows no wire.

import { Clip } from "./clip.js";
import { DepthMap } from "./depth.js";
import { Frames } from "./frames.js";
import { Meter } from "./meter.js";
import { Problem } from "./problem.js";
import { Session } from "./session.js";
import { Webcam } from "./webcam.js";
import { mapOf } from "./wire.js";

const FIGURES_EVERY_MS = 500; // figures that change faster cannot be read

/** `host` is {view, legend, classes, options(), onStart(), onProblem(problem)}. */
export class Live {
  constructor(root, host) {
    this.$ = (id) => root.getElementById(id);
    this.host = host;
    this.webcam = new Webcam(this.$("video"), () => this.#cameraGone());
    this.clip = new Clip(this.$("clip"));
    this.wanted = 0; // counts starts and stops: what an older one awaited is stale
    this.$("live-toggle").addEventListener("click", () => (this.running ? this.stop() : this.start(this.file)));
    this.$("live-camera").addEventListener("change", () => this.start());
    root.addEventListener("visibilitychange", () => {
      if (root.hidden && this.running) this.stop("Stopped, because this page was hidden.");
    });
  }

  /** Play a clip, or look through the camera where there is no file. */
  async start(file) {
    this.stop();
    this.file = file;
    const mine = (this.wanted += 1);
    this.running = true;
    this.host.onStart();
    this.#say(file ? "Opening the clip…" : "Asking for the camera…");
    this.#toggle();
    let deviceId;
    try {
      deviceId = await (file ? this.clip.start(file) : this.webcam.start(this.$("live-camera").value));
    } catch (problem) {
      if (mine !== this.wanted) return;
      this.stop();
      this.host.onProblem(problem);
      return;
    }
    if (mine !== this.wanted) {
      const other = Boolean(this.file) !== Boolean(file);
      if (!this.running || other) (file ? this.clip : this.webcam).stop();
      return;
    }
    this.frames = new Frames(this.$(file ? "clip" : "video"));
    this.meter = new Meter();
    this.#open();
    this.#watch(mine);
    this.timer = setInterval(() => this.#showFigures(), FIGURES_EVERY_MS);
    if (!file) await this.#listCameras(deviceId);
  }

  /** Camera or clip off, stream closed; the last picture stays. */
  stop(note = `The ${this.#kind} is off.`) {
    this.wanted += 1;
    if (!this.running) return;
    this.running = false;
    this.#release();
    this.session?.stop();
    this.session = undefined;
    clearInterval(this.timer);
    this.newest?.bitmap.close();
    this.newest = undefined;
    this.#say(note);
    this.#toggle();
    if (this.meter) this.#showFigures();
  }

  /** Ask again with the options as they are now. */
  reopen() {
    if (!this.session) return;
    this.session.stop();
    this.#open();
  }

  #open() {
    const { model, hfov, labels, smoothing } = this.host.options();
    const camera = hfov ? { hfov_deg: Number(hfov) } : {};
    const classes = labels ? { labels: "LABEL_ENCODING_RAW8" } : {};
    const options = { depth_encoding: "DEPTH_ENCODING_U16_MM", smoothing, ...camera, ...classes };
    this.session = new Session({
      connect: () => new WebSocket(new URL("stream", location.href.replace(/^http/, "ws"))),
      opening: { model, stream_name: "page", policy: "POLICY_LATEST", options },
      on: {
        state: (state, detail) => this.#stateChanged(state, detail),
        answer: (answer, kept) => this.#answered(answer, kept),
        lost: ({ bitmap }) => {
          bitmap.close();
          this.meter.count("connection lost");
        },
        problem: (problem) => {
          this.stop("The server ended the stream.");
          this.host.onProblem(problem);
        },
      },
    });
    this.session.start();
  }

  /** Send the newest frame whenever there is room for one. */
  #watch(mine) {
    this.frames.next(async (capturedAtMs) => {
      if (mine !== this.wanted) return;
      if (this.session.room) {
        const session = this.session;
        const grabbed = await this.frames.grab();
        if (grabbed && mine === this.wanted && session === this.session && session.room) {
          const kept = { bitmap: grabbed.bitmap, capturedAtMs };
          session.send(grabbed.jpeg, performance.now() - capturedAtMs, kept);
        } else {
          grabbed?.bitmap.close();
        }
      }
      if (mine === this.wanted) this.#watch(mine);
    });
  }

  #answered({ outcome, detail, ...answer }, kept) {
    if (outcome !== "depth") {
      kept.bitmap.close();
      this.meter.count(outcome === "failed" ? detail.code : spoken(detail.reason));
      return;
    }
    this.meter.count("answered");
    const waits = this.newest !== undefined;
    this.newest?.bitmap.close(); // never painted: the display is slower than the answers
    this.newest = { ...kept, map: new DepthMap(mapOf({ detail, ...answer })) };
    if (!waits) requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    if (!this.newest) return;
    const { bitmap, map, capturedAtMs } = this.newest;
    this.newest = undefined;
    this.host.view.showPair(bitmap, map, this.host.legend.range);
    bitmap.close();
    const now = performance.now();
    this.meter.paint(now, now - capturedAtMs);
    this.map = map;
  }

  #showFigures() {
    const { p50Ms, p95Ms, fps } = this.meter.now(performance.now());
    const ms = (value) => (Number.isFinite(value) ? value.toFixed(0) : "–");
    this.$("live-p50").textContent = ms(p50Ms);
    this.$("live-p95").textContent = ms(p95Ms);
    this.$("depth-note").textContent = `age ${ms(p50Ms)} ms`;
    this.$("live-fps").textContent = fps.toFixed(1);
    const { answered = 0, ...others } = Object.fromEntries(this.meter.counts);
    this.$("live-answered").textContent = answered;
    const rest = Object.entries(others).map(([name, count]) => `${name.replaceAll("_", " ")} ${count}`);
    this.$("live-others").textContent = rest.join(", ") || "none";
    if (this.map) this.host.legend.show(this.map);
    if (this.map) this.host.classes.show(this.map.labels);
    this.map = undefined;
  }

  #stateChanged(state, { waitS, why }) {
    if (state === "connecting") this.#say("Opening the stream…");
    if (state === "open") this.#say("Frames go to this server and nowhere else.");
    if (state === "waiting") this.#say(`Trying again in ${waitS} s. ${why}`, "waiting");
  }

  async #listCameras(deviceId) {
    const cameras = await this.webcam.list();
    this.$("live-camera").replaceChildren(
      ...cameras.map((camera, i) => new Option(camera.label || `Camera ${i + 1}`, camera.deviceId)),
    );
    this.$("live-camera").value = deviceId;
    this.$("live-camera-field").hidden = cameras.length < 2;
  }

  #cameraGone() {
    this.stop();
    this.host.onProblem(new Problem({
      title: "The camera went away",
      code: "camera_ended",
      expected: "a camera that stays on",
      got: "the end of its pictures: unplugged, or taken by the system",
      repair: "connect it again, then start again",
    }));
  }

  #say(text, state = this.running ? "on" : "off") {
    this.$("live-status").textContent = text;
    this.$("live-panel").dataset.camera = state;
  }

  #release() {
    this.webcam.stop();
    this.clip.stop();
  }

  get #kind() {
    return this.file ? "clip" : "camera";
  }

  #toggle() {
    this.$("live-toggle").textContent = `${this.running ? "Stop" : "Start"} the ${this.#kind}`;
    this.$("live-instead").hidden = !this.file;
    if (this.file) this.$("live-camera-field").hidden = true;
  }
}

/** "SKIP_REASON_SLOW_READER" as "slow reader". */
function spoken(reason = "") {
  return `skipped, ${reason.replace("SKIP_REASON_", "").replaceAll("_", " ").toLowerCase()}`;
}
