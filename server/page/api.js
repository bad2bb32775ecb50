// Speaks HTTP with the server: models, depth, downloads. Knows no element of the page.

import { parseNpy } from "./npy.js";
import { centred } from "./points.js";
import { Problem } from "./problem.js";
import { mapOf } from "./wire.js";

/** What the server has: {models, engine, device, precision}; the first model is the default. */
export async function fetchModels() {
  const response = await ask("models");
  return response.json();
}

/**
 * The depth of a photo.
 * options  {model, hfov, size, labels}; what is empty is left to the server; labels: classes too
 * returns  {map: {values, height, width, labels, camera}, model, version, focalPx, focalSource,
 *           stages: [{name, ms}], thereAndBackMs}
 */
export async function fetchDepth(image, { labels, ...options }, signal) {
  const askedAt = performance.now();
  const form = labels ? { format: "json", labels: "raw8" } : { format: "npy" };
  const response = await predict(image, { ...form, ...options }, signal);
  const map = labels ? parseJson(await response.json()) : parseNpy(await response.arrayBuffer());
  const thereAndBackMs = performance.now() - askedAt;
  const headers = response.headers;
  const focalPx = Number.parseFloat(headers.get("Fathom-Focal-Px") ?? "");
  return {
    // What the page can say of a camera is a focal length, so its middle is the picture's.
    map: { ...map, camera: Number.isFinite(focalPx) ? centred(focalPx, map) : undefined },
    model: headers.get("Fathom-Model") ?? "",
    version: headers.get("Fathom-Model-Version") ?? "",
    focalPx,
    focalSource: headers.get("Fathom-Focal-Source") ?? "",
    stages: parseServerTiming(headers.get("Server-Timing") ?? ""),
    thereAndBackMs,
  };
}

/** The answer as a file: options as for fetchDepth, with {format} and, for colours, {min, max}. */
export async function fetchFile(image, options) {
  const response = await predict(image, options);
  return response.blob();
}

/** Depth and classes of an answer with format=json. */
export function parseJson({ depth, labels, width, height }) {
  const bytes = ({ base64 }) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return mapOf({ depth: bytes(depth), labels: bytes(labels), detail: { width, height } });
}

/** Stages of a Server-Timing header, in its order; those without a duration are left out. */
export function parseServerTiming(header) {
  return header
    .split(",")
    .map((part) => ({
      name: part.split(";")[0].trim(),
      ms: Number.parseFloat(/;\s*dur\s*=\s*"?([\d.eE+-]+)/.exec(part)?.[1] ?? ""),
    }))
    .filter(({ name, ms }) => name && Number.isFinite(ms));
}

function predict(image, options, signal) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(options)) {
    if (value !== undefined && value !== "") query.set(key, value);
  }
  const headers = { "Content-Type": image.type || "application/octet-stream" };
  return ask(`predict?${query}`, { method: "POST", body: image, headers, signal });
}

async function ask(path, init) {
  let response;
  try {
    response = await fetch(path, init); // relative: works below a proxy's prefix too
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({
      title: "The server did not answer",
      code: "no_answer",
      expected: `an answer from ${location.origin}`,
      got: error.message,
      repair: "check that the server runs and that this device reaches it, then try again",
      mayRetry: true,
    });
  }
  if (response.ok) return response;
  throw new Problem(await problemDetails(response));
}

/** RFC 9457 problem details; an answer without them (a proxy's) is put in the same form. */
async function problemDetails(response) {
  const plain = {
    title: "The server refused",
    status: response.status,
    expected: "an answer",
    got: `${response.status} ${response.statusText}`.trim(),
    repair: "look at the log of the server, or of the proxy before it",
    mayRetry: response.headers.has("Retry-After"), // the server says so for what another try can help
  };
  if (!(response.headers.get("Content-Type") ?? "").includes("json")) return plain;
  try {
    return { ...plain, ...(await response.json()) };
  } catch {
    return plain;
  }
}
