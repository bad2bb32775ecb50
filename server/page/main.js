// Ties the page together: a photo or a camera comes in, its depth is shown. Knows no pixel.

import { showAnswer } from "./answer.js";
import { fetchDepth, fetchFile, fetchModels } from "./api.js";
import { Classes } from "./classes.js";
import { DepthMap } from "./depth.js";
import { intake } from "./intake.js";
import { Legend } from "./legend.js";
import { Live } from "./live.js";
import { Problem } from "./problem.js";
import { View } from "./view.js";

const LARGE_PHOTO_PX = 4e6; // above this the map on the page is of the network's size: 16 MB a map is enough
const SPOKEN_AFTER_MS = 400; // the probe is read out once it rests
const FILE_ENDINGS = { png16: "depth.png", npy: "depth.npy", ply: "points.ply", jpg: "depth.jpg" };

const $ = (id) => document.getElementById(id);

let incoming; // the file being read, so that the last one given wins
let photo; // the file in view
let photoSize; // {width, height}, upright; undefined if only the server can decode it
let asking; // AbortController of the question in the air
let speaking; // timer of the spoken read-out
let spokenPlace; // and the place it is of

let models = []; // what the server has

const classes = new Classes(document);
const view = new View(document, classes, showReading);
const legend = new Legend(document, (range) => view.recolour(range));
const live = new Live(document, {
  view,
  legend,
  classes,
  options: () => ({ ...asked(), smoothing: Number($("smoothing").value) }),
  onStart: clearForCamera,
  onProblem: showProblem,
});

// ---- a photo comes in

async function take(file) {
  hideProblem();
  incoming = file;
  if (file.type.startsWith("video/")) {
    live.start(file);
    $("live-toggle").focus({ preventScroll: true });
    return;
  }
  if (file.type && !file.type.startsWith("image/")) {
    showProblem(notAPhoto(`${file.name || "something"} (${file.type})`));
    return;
  }
  let copy; // a phone's camera file may vanish before a second question is asked about it
  try {
    copy = new File([await file.arrayBuffer()], file.name, { type: file.type });
  } catch (error) {
    showProblem(notAPhoto(`${file.name}, which cannot be read (${error.message})`));
    return;
  }
  if (incoming !== file) return;
  live.stop();
  asking?.abort();
  photo = copy;
  $("photo-name").textContent = "Photo";
  photoSize = undefined;
  const chosenByButton = $("drop").contains(document.activeElement);
  document.body.dataset.state = "photo";
  if (chosenByButton) $("depth-frame").focus({ preventScroll: true }); // its button is gone
  $("panels").hidden = true;
  $("depth-note").textContent = "";
  $("depth-note").classList.remove("holes");
  $("photo-note").textContent = "";
  try {
    const bitmap = await createImageBitmap(copy); // upright: EXIF orientation is applied
    if (photo !== copy) return;
    photoSize = { width: bitmap.width, height: bitmap.height };
    view.showPhoto(bitmap);
    bitmap.close();
    $("photo-note").textContent = `${photoSize.width} × ${photoSize.height}`;
  } catch {
    if (photo !== copy) return;
    view.withoutPhoto();
  }
  await measure();
}

function notAPhoto(got) {
  return new Problem({
    title: "That is not a photo",
    expected: "a JPEG, PNG or WebP picture, or a video",
    got,
    repair: "save it as one of these and drop it again",
  });
}

/** The camera takes the pictures' place; the photo is forgotten. */
function clearForCamera() {
  hideProblem();
  asking?.abort();
  incoming = photo = photoSize = undefined;
  if (document.body.dataset.state !== "live") view.clearDepth();
  classes.show();
  document.body.dataset.state = "live";
  $("result").setAttribute("aria-busy", "false");
  $("panels").hidden = false;
  $("photo-name").textContent = live.file ? "Clip" : "Camera";
  for (const note of ["photo-note", "depth-note"]) $(note).textContent = "";
  $("depth-note").classList.remove("holes");
}

async function measure() {
  if (live.running && $("hfov").checkValidity()) live.reopen();
  if (!photo || !$("hfov").checkValidity()) {
    $("hfov").reportValidity();
    return;
  }
  asking?.abort();
  const mine = (asking = new AbortController());
  hideProblem();
  $("result").setAttribute("aria-busy", "true");
  try {
    const large = photoSize && photoSize.width * photoSize.height > LARGE_PHOTO_PX;
    const options = { ...asked(), size: large ? "network" : "source" };
    showDepth(await fetchDepth(photo, options, mine.signal));
  } catch (error) {
    if (mine.signal.aborted) return;
    if (!photoSize && !view.map) document.body.dataset.state = "empty"; // there is nothing to look at
    showProblem(error);
  } finally {
    if (asking === mine) $("result").setAttribute("aria-busy", "false");
  }
}

function chosen() {
  return { model: $("model").disabled ? "" : $("model").value, hfov: $("hfov").value };
}

/** What depth is asked for with: classes too, where the model has some. */
function asked() {
  return { ...chosen(), labels: classes.known };
}

// ---- the answer is shown

function showDepth(answer) {
  const map = new DepthMap(answer.map);
  document.body.dataset.state = "photo";
  $("panels").hidden = false;
  legend.show(map); // before the view, whose probe points at the legend's new axis
  view.showDepth(map, legend.range);
  classes.show(map.labels);
  const missing = map.missing * 100;
  const holes = missing > 0 ? `, ${missing < 0.1 ? "under 0.1" : missing.toFixed(1)} % no answer` : "";
  $("depth-note").classList.toggle("holes", missing > 0);
  $("depth-note").textContent = `${map.width} × ${map.height}${holes}`;
  showAnswer(document, answer, map);
}

function showReading({ u, v, metres, name }) {
  const known = Number.isFinite(metres);
  $("metres").textContent = known ? metres.toFixed(2) : "no answer";
  $("metres-unit").hidden = !known;
  const size = photoSize ?? view.map;
  if (size) {
    const x = Math.min(size.width - 1, Math.floor(u * size.width));
    const y = Math.min(size.height - 1, Math.floor(v * size.height));
    $("where").textContent = `pixel ${x}, ${y}${name ? `, ${name}` : ""}`;
  }
  legend.point(metres);
  const place = `${u} ${v}`;
  if (live.running && place === spokenPlace) return; // every frame has new metres there
  spokenPlace = place;
  clearTimeout(speaking);
  speaking = setTimeout(() => ($("spoken").textContent = $("metres").textContent + (known ? " m" : "")), SPOKEN_AFTER_MS);
}

// ---- problems

function showProblem(error) {
  const problem = error instanceof Problem ? error : new Problem({
    title: "The page failed",
    expected: "no error in the page",
    got: `${error.name}: ${error.message}`,
    repair: "reload the page; if it fails again, report this message",
  });
  $("error-title").textContent = problem.title;
  $("error-code").textContent = [problem.status || "", problem.code].filter(Boolean).join(" ");
  $("error-detail").textContent = problem.detail;
  for (const part of ["expected", "got", "repair"]) {
    $(`error-${part}`).textContent = problem[part];
    $(`error-${part}`).parentElement.hidden = !problem[part];
  }
  $("error-again").hidden = !(photo && problem.mayRetry);
  $("error").hidden = false;
  $("error").scrollIntoView({ block: "nearest" });
}

function hideProblem() {
  $("error").hidden = true;
}

// ---- models and downloads

async function listModels() {
  try {
    const { engine, device, precision, ...rest } = await fetchModels();
    models = rest.models;
    $("model").replaceChildren(...models.map(({ name, version, summary }) => {
      const label = version === undefined ? name : `${name}, version ${version}`;
      return Object.assign(new Option(label, name), { title: summary ?? "" });
    }));
    $("model").disabled = models.length === 0;
    chooseClasses();
    $("engine").textContent = [engine, device, precision].filter(Boolean).join(" · ");
  } catch (error) {
    $("model").replaceChildren(new Option("the server’s default"));
    showProblem(error);
  }
}

/** Classes of the chosen model; without them the page goes back to depth. */
function chooseClasses() {
  const { outputs = [], classes: names = [], class_colours: colours = [] } =
    models.find(({ name }) => name === $("model").value) ?? {};
  const has = outputs.includes("labels") && colours.length > 0;
  classes.use(has ? names : [], has ? colours : []);
  $("mode-classes").hidden = !has;
  if (!has && view.byClass) $("mode").querySelector("[value=side]").click();
}

async function download(button) {
  const format = button.dataset.format;
  const { nearM, farM } = legend.range;
  const colours = format === "jpg" ? { min: nearM, max: farM } : {};
  button.disabled = true;
  hideProblem();
  try {
    const blob = await fetchFile(photo, { format, ...chosen(), size: "source", ...colours });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${(photo.name || "photo").replace(/\.[^.]*$/, "")}-${FILE_ENDINGS[format]}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } catch (error) {
    showProblem(error);
  } finally {
    button.disabled = false;
  }
}

// ---- hands and keys

intake(document, take);
for (const button of document.querySelectorAll("[data-live]")) {
  button.addEventListener("click", () => {
    live.start();
    $("live-toggle").focus(); // the button that was pressed is gone
  });
}
$("options").addEventListener("submit", (event) => {
  event.preventDefault(); // Enter in the field of view: "change" has asked already
});
$("model").addEventListener("change", () => {
  chooseClasses();
  measure();
});
$("hfov").addEventListener("change", measure);
$("smoothing").addEventListener("change", () => live.reopen());
for (const radio of document.querySelectorAll("[name=mode]")) {
  radio.addEventListener("change", () => {
    view.setMode(radio.value, legend.range);
    $("depth-name").textContent = radio.value === "classes" ? "Classes" : "Depth";
    $("opacity-field").hidden = !["overlay", "classes"].includes(radio.value);
  });
}
for (const radio of document.querySelectorAll("[name=cloud-colours]")) {
  radio.addEventListener("change", () => view.setCloudColours(radio.value === "photo", legend.range));
}
$("opacity").addEventListener("input", () => {
  view.setOpacity(Number($("opacity").value) / 100);
  $("opacity-value").textContent = `${$("opacity").value} %`;
});
for (const button of document.querySelectorAll("[data-format]")) {
  button.addEventListener("click", () => download(button));
}
$("error-close").addEventListener("click", hideProblem);
$("error-again").addEventListener("click", measure);

$("curl").textContent = `curl --data-binary @photo.jpg -o depth.png '${new URL("predict?format=png16", location.href)}'`;
view.setOpacity(Number($("opacity").value) / 100);
listModels();
