// Reads a .npy file that holds a 2-D float array. Knows no network, no page and no unit.
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

import { Problem } from "./problem.js";

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // "\x93NUMPY"

/**
 * The array of a .npy file, version 1, 2 or 3.
 * buffer   ArrayBuffer, the whole file
 * returns  {values: Float32Array in C order, height, width}
 */
export function parseNpy(buffer) {
  const bytes = new Uint8Array(buffer);
  if (bytes.length < 10 || MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw unreadable("a file that starts with \\x93NUMPY", `${bytes.length} bytes that do not`);
  }
  const view = new DataView(buffer);
  const major = bytes[6];
  if (major < 1 || major > 3) throw unreadable("format version 1, 2 or 3", `version ${major}`);
  const headerAt = major === 1 ? 10 : 12;
  if (bytes.length < headerAt) throw unreadable("a header", "the end of the file");
  const headerBytes = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const dataAt = headerAt + headerBytes;
  if (dataAt > bytes.length) throw unreadable(`a header of ${headerBytes} bytes`, "the end of the file");

  const { descr, fortran, shape } = parseHeader(
    new TextDecoder().decode(bytes.subarray(headerAt, dataAt)),
  );
  if (descr !== "<f4" && descr !== "<f8") throw unreadable("little-endian float32 or float64", descr);
  if (fortran) throw unreadable("C order", "Fortran order");
  if (shape.length !== 2) throw unreadable("an array of shape (H, W)", `shape (${shape.join(", ")})`);

  const [height, width] = shape;
  const Numbers = descr === "<f4" ? Float32Array : Float64Array;
  const dataBytes = height * width * Numbers.BYTES_PER_ELEMENT;
  if (bytes.length - dataAt !== dataBytes) {
    throw unreadable(`${dataBytes} bytes of data`, `${bytes.length - dataAt} bytes`);
  }
  // A slice, not a view: the data need not start at a multiple of the element size.
  const numbers = new Numbers(buffer.slice(dataAt));
  return { values: numbers instanceof Float32Array ? numbers : Float32Array.from(numbers), height, width };
}

/** The three fields of the header, which is a Python dict literal with keys in any order. */
function parseHeader(text) {
  const descr = /['"]descr['"]\s*:\s*['"]([^'"]*)['"]/.exec(text)?.[1];
  const fortran = /['"]fortran_order['"]\s*:\s*(True|False)/.exec(text)?.[1];
  const shape = /['"]shape['"]\s*:\s*\(([\d,\sL]*)\)/.exec(text)?.[1];
  if (descr === undefined || fortran === undefined || shape === undefined) {
    throw unreadable("a header with descr, fortran_order and shape", text.trim().slice(0, 80));
  }
  return {
    descr,
    fortran: fortran === "True",
    shape: shape.split(",").filter((part) => part.trim()).map((part) => Number.parseInt(part, 10)),
  };
}

function unreadable(expected, got) {
  return new Problem({
    title: "The answer could not be read",
    code: "bad_npy",
    expected: `${expected} (.npy)`,
    got,
    repair: "reload the page, so that page and server are of the same version; then report it",
  });
}
