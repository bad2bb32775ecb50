// The panel about one answer: its model, its lens, where its time went. Knows no picture and no network.

import { hfovDeg } from "./depth.js";

/** Shows what fetchDepth returned; map: its DepthMap. */
export function showAnswer(root, answer, map) {
  const say = (id, text) => (root.getElementById(id).textContent = text);
  say("fact-model", answer.version ? `${answer.model}, version ${answer.version}` : answer.model);
  const known = Number.isFinite(answer.focalPx);
  say("fact-focal", known ? `${answer.focalPx.toFixed(0)} px, ${answer.focalSource}` : "not told");
  say("fact-hfov", known ? `${hfovDeg(answer.focalPx, map.width).toFixed(1)}°` : "not told");
  root.getElementById("advice").hidden = answer.focalSource !== "assumed";
  const { stages, thereAndBackMs } = answer;
  const serverMs = stages.reduce((sum, { ms }) => sum + ms, 0);
  const back = `${shortMs(thereAndBackMs)} there and back`;
  say("total", stages.length ? `${shortMs(serverMs)} in the server, ${back}` : back);
  showStages(root, stages);
}

function showStages(root, stages) {
  const told = stages.map(({ name, ms }) => `${name} ${shortMs(ms)}`);
  const bar = root.getElementById("stages");
  bar.setAttribute("aria-label", told.join(", "));
  bar.replaceChildren(...stages.map(({ ms }, i) => {
    const part = root.createElement("span");
    part.dataset.stage = i % 5;
    part.title = told[i];
    part.style.flexGrow = ms;
    return part;
  }));
  root.getElementById("stage-names").replaceChildren(...stages.map(({ name, ms }, i) => {
    const item = root.createElement("li");
    item.dataset.stage = i % 5;
    item.append(`${name} `, Object.assign(root.createElement("b"), { textContent: shortMs(ms) }));
    return item;
  }));
}

function shortMs(ms) {
  return `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}
