// A clip of this device on a video element, over and over. Knows no server and no frame.

import { Problem } from "./problem.js";

export class Clip {
  constructor(video) {
    this.video = video;
  }

  /** Play a video file from its beginning. Throws a Problem. */
  async start(file) {
    this.stop();
    this.video.src = this.address = URL.createObjectURL(file);
    try {
      await this.video.play();
    } catch (error) {
      throw new Problem({
        title: "The clip does not play",
        code: error.name,
        expected: "a video that this browser plays",
        got: `${file.name || "a file"} (${file.type}): ${error.message}`,
        repair: "save it as MP4 with H.264, or as WebM, and drop it again",
      });
    }
  }

  stop() {
    if (!this.address) return;
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load(); // lets go of the file
    URL.revokeObjectURL(this.address);
    this.address = undefined;
  }
}
