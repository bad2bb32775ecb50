// Messages of the server's stream: a JSON header, then bytes as they are. Knows no socket and no picture.

import { Problem } from "./problem.js";

const LENGTH_BYTES = 4;

/** A frame as the server reads it: length, header, image. image is a Uint8Array. */
export function writeFrame(header, image) {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const message = new Uint8Array(LENGTH_BYTES + text.length + image.length);
  new DataView(message.buffer).setUint32(0, text.length, true);
  message.set(text, LENGTH_BYTES);
  message.set(image, LENGTH_BYTES + text.length);
  return message;
}

/**
 * An answer of the server.
 * buffer   ArrayBuffer, one binary message
 * returns  {seq, outcome: "depth" | "skipped" | "failed", detail, depth, labels}; the last two are
 *          Uint8Array views of the buffer, depth at a multiple of 8
 */
export function readAnswer(buffer) {
  try {
    const headerBytes = new DataView(buffer).getUint32(0, true);
    const text = new TextDecoder().decode(new Uint8Array(buffer, LENGTH_BYTES, headerBytes));
    const { answer, depth_bytes: depthBytes, labels_bytes: labelsBytes } = JSON.parse(text);
    const outcome = ["depth", "skipped", "failed"].find((name) => name in answer);
    return {
      seq: Number(answer.seq ?? 0), // 64-bit numbers come as strings, and zero does not come
      outcome,
      detail: answer[outcome],
      depth: new Uint8Array(buffer, LENGTH_BYTES + headerBytes, depthBytes),
      labels: new Uint8Array(buffer, LENGTH_BYTES + headerBytes + depthBytes, labelsBytes),
    };
  } catch (error) {
    throw new Problem({
      title: "The answer could not be read",
      code: "bad_answer",
      expected: "a header in JSON and the depth behind it",
      got: `${buffer.byteLength} bytes without (${error.message})`,
      repair: "reload the page, so that page and server are of the same version; then report it",
    });
  }
}

/**
 * Metres of little-endian millimetres, and class ids where there are some, one byte a pixel; 0 mm,
 * which is no answer, becomes NaN. `camera` is the answer's own, in pixels of the map.
 */
export function mapOf({ depth, labels, detail }) {
  const { width, height, camera } = detail;
  const millimetres = new Uint16Array(depth.buffer, depth.byteOffset, width * height);
  const values = Float32Array.from(millimetres, (mm) => (mm === 0 ? NaN : mm / 1000));
  return { values, width, height, labels: labels.length ? labels : undefined, camera };
}
