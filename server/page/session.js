// One camera's stream to the server: numbers frames, matches answers, comes back. Knows no picture.

import { Problem } from "./problem.js";
import { readAnswer, writeFrame } from "./wire.js";

const IN_FLIGHT = 2; // one computes while the next is on its way; more would only be skipped
const LONGEST_WAIT_S = 30;
const DO_NOT_REPEAT = 1008;

/**
 * A stream that opens again when it is lost.
 * connect    () => WebSocket
 * opening    the Open message, in JSON
 * on         {state(name, {waitS, why}), answer(answer, kept), lost(kept), problem(Problem)};
 *            name is "connecting", "open", "waiting" or "closed"
 * later      (callback, ms) => a function that takes it back
 */
export class Session {
  constructor({ connect, opening, on, later = laterByTimer }) {
    Object.assign(this, { connect, opening, on, later });
    this.state = "closed";
    this.seq = 0; // rises over reconnections too, so that an answer has one frame for ever
    this.attempt = 0;
    this.kept = new Map(); // frames in flight, by number
  }

  start() {
    this.#enter("connecting");
    this.why = undefined;
    this.refused = undefined;
    const socket = (this.socket = this.connect());
    socket.binaryType = "arraybuffer";
    const mine = (handle) => (event) => this.socket === socket && handle(event);
    socket.onopen = mine(() => socket.send(JSON.stringify({ open: this.opening })));
    socket.onmessage = mine(({ data }) => this.#hear(data));
    socket.onclose = mine(({ code, reason }) => this.#closed(code, reason));
  }

  /** Say goodbye and forget; what was in flight is lost. */
  stop() {
    this.takeBack?.();
    const socket = this.socket;
    this.socket = undefined;
    socket?.close();
    this.#lose();
    this.#enter("closed");
  }

  get room() {
    return this.state === "open" && this.kept.size < IN_FLIGHT;
  }

  /** Send one JPEG, captured ageMs ago; `kept` comes back with its answer. Ask `room` first. */
  send(jpeg, ageMs, kept) {
    this.seq += 1;
    this.kept.set(this.seq, kept);
    const image = { encoding: "IMAGE_ENCODING_JPEG" };
    const header = { seq: this.seq, age_us: Math.max(0, Math.round(ageMs * 1000)), image };
    this.socket.send(writeFrame(header, jpeg));
  }

  #hear(data) {
    if (typeof data !== "string") {
      this.#answered(data);
      return;
    }
    const { opened, closing, failed } = JSON.parse(data);
    if (opened) this.#enter("open");
    if (closing?.code) this.why = closing.reason;
    if (failed) {
      this.why = `${failed.code}: ${failed.got}`;
      this.refused = new Problem({ title: failed.code.replaceAll("_", " "), ...failed });
    }
  }

  #answered(data) {
    let answer;
    try {
      answer = readAnswer(data);
    } catch (problem) {
      this.stop();
      this.on.problem(problem);
      return;
    }
    this.attempt = 0; // it works: the next loss is a new one
    const kept = this.kept.get(answer.seq);
    this.kept.delete(answer.seq);
    this.on.answer(answer, kept);
  }

  #closed(code, reason) {
    this.socket = undefined;
    this.#lose();
    if (code === DO_NOT_REPEAT) {
      this.#enter("closed");
      this.on.problem(this.refused ?? refusal(reason));
      return;
    }
    const seconds = Math.min(LONGEST_WAIT_S, 2 ** this.attempt); // 1, 2, 4 .. 30
    this.attempt += 1;
    this.takeBack = this.later(() => this.start(), seconds * 1000);
    this.#enter("waiting", { waitS: seconds, why: this.why ?? (reason || "the connection was lost") });
  }

  #lose() {
    const lost = [...this.kept.values()];
    this.kept.clear();
    for (const kept of lost) this.on.lost(kept);
  }

  #enter(state, detail = {}) {
    this.state = state;
    this.on.state(state, detail);
  }
}

function refusal(reason) {
  return new Problem({
    title: "The server ended the stream",
    code: reason,
    expected: "a stream that stays open",
    got: reason || "a close without a reason",
    repair: "look at the log of the server, then start again",
  });
}

function laterByTimer(callback, ms) {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
}
