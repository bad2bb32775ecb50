// This device's camera on a video element: asks for it, lets go of it. Knows no server and no frame.

import { BOX } from "./frames.js";
import { Problem } from "./problem.js";

const REPAIRS = {
  NotAllowedError: {
    title: "The camera may not be used",
    got: "a refusal: by you, by the browser or by this device",
    repair: "allow the camera for this page (beside its address), then start again",
  },
  NotFoundError: {
    title: "There is no camera",
    got: "a device without one",
    repair: "connect a camera, then start again; or measure a photo",
  },
  NotReadableError: {
    title: "The camera is busy",
    got: "a camera that cannot be read, most often because another program holds it",
    repair: "close what uses the camera, then start again",
  },
};

export class Webcam {
  constructor(video, onEnd) {
    this.video = video;
    this.onEnd = onEnd; // called when the camera goes by itself
  }

  /** Switch the camera on: the given one, else the browser's choice. Throws a Problem. */
  async start(deviceId) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Problem({
        title: "The camera may not be used",
        code: "insecure_page",
        expected: "a page from localhost or over https: browsers give the camera to no other",
        got: location.origin,
        repair: "open the page at localhost, or put https before the server",
      });
    }
    const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "environment" };
    const size = { width: { ideal: BOX.width }, height: { ideal: BOX.height } };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { ...which, ...size } });
      this.stop();
      this.stream = stream;
      this.video.srcObject = stream;
      await this.video.play();
    } catch (error) {
      for (const track of stream?.getTracks() ?? []) track.stop();
      throw new Problem({
        title: "The camera does not start",
        code: error.name,
        expected: "a camera that this page may use",
        got: error.message,
        repair: "check the camera in another program, then start again",
        ...REPAIRS[error.name],
      });
    }
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => this.stream === stream && this.onEnd());
    return track.getSettings().deviceId ?? "";
  }

  /** Let go of the camera: its light goes out. */
  stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = undefined;
    this.video.srcObject = null;
  }

  /** Cameras by name; names are known once one was allowed. */
  async list() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter(({ kind }) => kind === "videoinput");
  }
}
