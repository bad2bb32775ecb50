// Where points in space are looked at from: turned and neared round a middle. Knows no canvas.

const START = { yaw: -0.3, pitch: 0.15, away: 1.35 }; // from beside, above and behind the camera
const STEEPEST = 1.45; // radians; straight from above there is no more left and right
const NEAREST = 0.15; // of the middle's distance
const FARTHEST = 4;

/**
 * A view round the point `middleM` metres before the camera. Turned by nothing, and as far away as
 * the camera was, it sees what the camera saw.
 */
export class Orbit {
  constructor() {
    this.look(1);
  }

  /** Look at another middle, from the start. */
  look(middleM) {
    this.middleM = middleM;
    this.reset();
  }

  reset() {
    Object.assign(this, START);
  }

  /** Radians: to the right and from above are positive. */
  turn(yaw, pitch) {
    this.yaw = (this.yaw + yaw) % (2 * Math.PI);
    this.pitch = Math.min(STEEPEST, Math.max(-STEEPEST, this.pitch + pitch));
  }

  /** Above 1 nears. */
  zoom(factor) {
    this.away = Math.min(FARTHEST, Math.max(NEAREST, this.away / factor));
  }

  /**
   * From metres (x right, y down, z forward) to clip space, by columns as WebGL takes it.
   * lens  {acrossX, acrossY}: clip units of a metre at one metre
   */
  matrix({ acrossX, acrossY }) {
    const [sinYaw, cosYaw] = [Math.sin(this.yaw), Math.cos(this.yaw)];
    const [sinPitch, cosPitch] = [Math.sin(this.pitch), Math.cos(this.pitch)];
    const m = this.middleM;
    const distance = m * this.away;
    const near = distance / 100;
    const far = distance + 100 * m;
    const depth = (far + near) / (far - near);
    // Rows of the turn round (0, 0, m), first by yaw, then by pitch; then `distance` forward.
    const right = [cosYaw, 0, sinYaw];
    const down = [sinPitch * sinYaw, cosPitch, -sinPitch * cosYaw];
    const forward = [-cosPitch * sinYaw, sinPitch, cosPitch * cosYaw];
    const moved = [-m * right[2], -m * down[2], distance - m * forward[2]];
    const columns = [0, 1, 2].map((axis) => [
      acrossX * right[axis],
      -acrossY * down[axis], // clip space has y upward
      depth * forward[axis],
      forward[axis],
    ]);
    const last = [
      acrossX * moved[0],
      -acrossY * moved[1],
      depth * moved[2] - depth * near - near,
      moved[2],
    ];
    return Float32Array.from([...columns.flat(), ...last]);
  }
}

/** The lens under which a canvas shows all that a camera saw of a map, at the map's proportions. */
export function lensOf({ width, height, camera }, canvasAspect) {
  const acrossY = Math.min((2 * camera.fy) / height, ((2 * camera.fx) / width) * canvasAspect);
  return { acrossX: acrossY / canvasAspect, acrossY };
}
