// Metres to colours: the turbo map, near is warm. Knows no canvas and no page.

// Every fifth entry of the Turbo table by Anton Mikhailov, Google, 2019 (Apache-2.0):
// https://gist.github.com/mikhailov-work/ee72ba4191942acecc03fe6da94fc73f
// Straight lines between them stay within two steps of 255 of the table; the published polynomial
// is off by up to 32, which shows beside the server's own pictures.
const TURBO = `
  30123b 36215f 3b2f80 3f3e9c 424bb5 4559cb 4666dd 4773eb 4680f6 458cfd 4099ff 38a5fb 2fb2f4
  27bee9 1fc9dd 1ad4d0 18ddc2 1ae4b6 22ebaa 2ff19b 3ff68a 52fa7a 65fd69 79fe59 8bff4b 9cfe40
  a9fb39 b7f735 c3f134 d0ea34 dbe236 e5d938 eecf3a f5c53a faba39 fdae35 fea130 fe932a fc8423
  f9751d f46617 ef5811 e84b0c e14109 d83706 ce2d04 c32503 b71d02 a91601 9b0f01 8b0902 7a0403
`.trim().split(/\s+/).map((hex) => [0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)));

export const STEPS = 256;

/** [red, green, blue] in 0..255 of t in 0..1: dark blue at 0, through green, to dark red at 1. */
export function turbo(t) {
  const place = Math.min(1, Math.max(0, t)) * (TURBO.length - 1);
  const left = Math.min(TURBO.length - 2, Math.floor(place));
  return TURBO[left].map((from, i) => Math.round(from + (TURBO[left + 1][i] - from) * (place - left)));
}

/** The palette as the server paints it: entry 255 is the nearest, entry 0 the farthest. */
export const PALETTE = Array.from({ length: STEPS }, (_, i) => turbo(i / (STEPS - 1)));

// One 32-bit store a pixel, not four of 8 bits. Every browser's machine is little endian: A B G R.
const PACKED = Uint32Array.from(PALETTE, ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);

/** Entry of the palette for a distance; colours hold beyond both ends. NaN gives NaN. */
export function step(depthM, nearM, farM) {
  const nearness = (farM - depthM) / (farM - nearM);
  return Math.floor(Math.min(1, Math.max(0, nearness)) * (STEPS - 1));
}

/**
 * Paint a map of metres.
 * depthM  Float32Array, metres; NaN (no answer) becomes transparent
 * out     Uint32Array of the same length: RGBA pixels, as ImageData holds them
 */
export function paint(depthM, nearM, farM, out) {
  for (let i = 0; i < depthM.length; i += 1) {
    const entry = step(depthM[i], nearM, farM);
    out[i] = entry === entry ? PACKED[entry] : 0; // NaN alone differs from itself
  }
}
