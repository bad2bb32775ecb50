// A depth map as coloured points in space. Knows no WebGL, no canvas and no page.

const MOST_POINTS = 400_000; // denser than a screen's own pixels, and 6 MB to send to it

/** A pinhole {fx, fy, cx, cy} that looks through the middle of a map; pixel centres at integers. */
export function centred(focalPx, { width, height }) {
  return { fx: focalPx, fy: focalPx, cx: (width - 1) / 2, cy: (height - 1) / 2 };
}

/**
 * Points of a map, in metres: x right, y down, z forward, as in the server's PLY.
 * map      {values, width, height, camera}; camera {fx, fy, cx, cy} in pixels of this map
 * returns  {xyz: Float32Array, pixels: Uint32Array, count, stride}: `pixels` are the points' places
 *          in the map, every `stride`th of a row and column; pixels without an answer have no point
 */
export function lift(map, most = MOST_POINTS) {
  const { values, width, height, camera } = map;
  const stride = Math.max(1, Math.ceil(Math.sqrt((width * height) / most)));
  const room = Math.ceil(width / stride) * Math.ceil(height / stride);
  const xyz = new Float32Array(3 * room);
  const pixels = new Uint32Array(room);
  let count = 0;
  for (let y = 0; y < height; y += stride) {
    const rayY = (y - camera.cy) / camera.fy;
    for (let x = 0; x < width; x += stride) {
      const z = values[y * width + x];
      if (!(z > 0 && z < Infinity)) continue;
      xyz[3 * count] = (z * (x - camera.cx)) / camera.fx;
      xyz[3 * count + 1] = z * rayY;
      xyz[3 * count + 2] = z;
      pixels[count] = y * width + x;
      count += 1;
    }
  }
  return { xyz: xyz.subarray(0, 3 * count), pixels: pixels.subarray(0, count), count, stride };
}

/** The points' colours out of a painted map: RGBA packed in 32 bits, as ImageData holds them. */
export function coloursOf({ pixels }, painted) {
  return Uint32Array.from(pixels, (pixel) => painted[pixel]);
}

/**
 * The map's pixel whose point is seen at a place on the screen; undefined where there is none near.
 * matrix    16 numbers by columns, from metres to clip space
 * x, y      -1..1, right and up; nearX, nearY: how far off a point may be seen, in the same units
 */
export function pick({ xyz, pixels, count }, matrix, { x, y, nearX, nearY }) {
  let found;
  let foundW = Infinity; // how far from the eye: what is behind another point is not seen
  for (let i = 0; i < count; i += 1) {
    const px = xyz[3 * i];
    const py = xyz[3 * i + 1];
    const pz = xyz[3 * i + 2];
    const w = matrix[3] * px + matrix[7] * py + matrix[11] * pz + matrix[15];
    if (w <= 0 || w >= foundW) continue;
    const seenX = (matrix[0] * px + matrix[4] * py + matrix[8] * pz + matrix[12]) / w;
    if (Math.abs(seenX - x) > nearX) continue;
    const seenY = (matrix[1] * px + matrix[5] * py + matrix[9] * pz + matrix[13]) / w;
    if (Math.abs(seenY - y) > nearY) continue;
    found = pixels[i];
    foundW = w;
  }
  return found;
}
