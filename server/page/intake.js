// Every way in which a file comes to the page: chosen, taken, pasted, dropped. Knows no file's content.

/** Calls take(File) with each file that a person gives. */
export function intake(root, take) {
  const find = (id) => root.getElementById(id);
  for (const button of root.querySelectorAll("[data-pick]")) {
    button.addEventListener("click", () => find(button.dataset.pick).click());
  }
  for (const input of [find("file"), find("camera")]) {
    input.addEventListener("change", () => {
      if (input.files[0]) take(input.files[0]);
      input.value = ""; // so that the same file can be chosen again
    });
  }
  find("drop").addEventListener("click", (event) => {
    if (!event.target.closest("button")) find("file").click();
  });
  root.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (!file) return; // text, for the field it was pasted into
    event.preventDefault();
    take(file);
  });
  dropped(root, take);
}

function dropped(root, take) {
  let level = 0; // enter and leave come for every element crossed
  const carriesFile = (event) => event.dataTransfer?.types.includes("Files");
  const cross = (step) => (event) => {
    if (carriesFile(event)) root.body.classList.toggle("dragging", (level += step) > 0);
  };
  root.addEventListener("dragenter", cross(1));
  root.addEventListener("dragleave", cross(-1));
  root.addEventListener("dragover", (event) => carriesFile(event) && event.preventDefault());
  root.addEventListener("drop", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    level = 0;
    root.body.classList.remove("dragging");
    take(event.dataTransfer.files[0]);
  });
}
