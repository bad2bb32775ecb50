// Draws coloured points with WebGL. Knows no depth map, no hand and no key.

// A point is as large as the patch of surface its pixel saw, so that surfaces close; and more, since
// they are also looked at from where they lie less slanted than the camera saw them.
const VERTEX = `
  uniform mat4 matrix;
  uniform float patchPx; // of a point one metre before the camera, seen from one metre
  attribute vec3 place;
  attribute vec4 colour;
  varying vec3 shade;
  void main() {
    gl_Position = matrix * vec4(place, 1.0);
    gl_PointSize = clamp(1.9 * patchPx * place.z / gl_Position.w, 1.0, 32.0);
    shade = colour.rgb;
  }
`;
const FRAGMENT = `
  precision mediump float;
  varying vec3 shade;
  void main() {
    gl_FragColor = vec4(shade, 1.0);
  }
`;

export class Painter {
  /** Throws where this browser has no WebGL. */
  constructor(canvas) {
    const gl = canvas.getContext("webgl");
    if (!gl) throw new Error("this browser has no WebGL");
    this.gl = gl;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new Error(`its WebGL refuses the shaders: ${gl.getProgramInfoLog(program)}`);
    }
    gl.useProgram(program);
    this.matrix = gl.getUniformLocation(program, "matrix");
    this.patchPx = gl.getUniformLocation(program, "patchPx");
    this.places = this.#attribute(gl.getAttribLocation(program, "place"), 3, gl.FLOAT);
    this.colours = this.#attribute(gl.getAttribLocation(program, "colour"), 4, gl.UNSIGNED_BYTE);
    gl.enable(gl.DEPTH_TEST);
    this.count = 0;
  }

  /** xyz: Float32Array, three a point. */
  place(xyz) {
    this.#fill(this.places, xyz);
    this.count = xyz.length / 3;
  }

  /** rgba: Uint32Array, one a point. */
  colour(rgba) {
    this.#fill(this.colours, rgba);
  }

  draw(matrix, patchPx) {
    const { gl } = this;
    gl.viewport(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT); // to nothing: the page is behind
    gl.uniformMatrix4fv(this.matrix, false, matrix);
    gl.uniform1f(this.patchPx, patchPx);
    gl.drawArrays(gl.POINTS, 0, this.count);
  }

  #attribute(at, size, type) {
    const { gl } = this;
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, size, type, type === gl.UNSIGNED_BYTE, 0, 0);
    return buffer;
  }

  #fill(buffer, values) {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
  }
}
