// Frames of a video element, be it a camera or a clip: when they come, and as JPEG. Knows no server.

export const BOX = { width: 640, height: 480 }; // a frame is sent no larger: the network sees half of it
const QUALITY = 0.8;
const BELIEVED_MS = 10_000; // a capture time further away than this is on another clock

export class Frames {
  constructor(video) {
    this.video = video;
    this.canvas = document.createElement("canvas");
  }

  /** Call back once with the next frame's capture time, on performance.now's clock. */
  next(callback) {
    if (this.video.requestVideoFrameCallback) {
      this.video.requestVideoFrameCallback((now, { captureTime }) => {
        const believed = captureTime <= now && captureTime > now - BELIEVED_MS;
        callback(believed ? captureTime : now);
      });
    } else {
      requestAnimationFrame(callback);
    }
  }

  /** The frame in view: {bitmap, jpeg: Uint8Array}; undefined before there is one. */
  async grab() {
    const { videoWidth, videoHeight } = this.video;
    if (!videoWidth) return undefined;
    const scale = Math.min(1, BOX.width / videoWidth, BOX.height / videoHeight);
    this.canvas.width = Math.round(videoWidth * scale);
    this.canvas.height = Math.round(videoHeight * scale);
    this.canvas.getContext("2d").drawImage(this.video, 0, 0, this.canvas.width, this.canvas.height);
    const [blob, bitmap] = await Promise.all([
      new Promise((resolve) => this.canvas.toBlob(resolve, "image/jpeg", QUALITY)),
      createImageBitmap(this.canvas),
    ]);
    return { bitmap, jpeg: new Uint8Array(await blob.arrayBuffer()) };
  }
}
