// Class ids of a picture: their colours and how much each covers. Knows no depth and no network.

/** "#rrggbb" by class id as 32-bit pixels; entry 0, no class, is see-through. */
export function pack(colours) {
  const packed = Uint32Array.from(colours, (hex) => {
    const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0; // as palette.js packs: A B G R
  });
  packed[0] = 0;
  return packed;
}

/** Paint ids (Uint8Array) into RGBA pixels (Uint32Array of the same length); unknown ids are not. */
export function paintClasses(labels, packed, out) {
  for (let i = 0; i < labels.length; i += 1) out[i] = packed[labels[i]] ?? 0;
}

/** [{id, share}] of the ids that occur, the largest share of the picture first; 0 is no class. */
export function shares(labels) {
  const counts = new Uint32Array(256);
  for (const id of labels) counts[id] += 1;
  return [...counts]
    .map((count, id) => ({ id, share: count / labels.length }))
    .filter(({ id, share }) => id > 0 && share > 0)
    .sort((a, b) => b.share - a.share);
}

/** What one model calls its classes and paints them with, and their list on the page. */
export class Classes {
  constructor(root) {
    this.panel = root.getElementById("classes");
    this.list = root.getElementById("class-list");
    this.names = [];
    this.packed = new Uint32Array(0);
  }

  /** The classes of another model, by id; two empty lists for one that has none. */
  use(names, colours) {
    this.names = names;
    this.colours = colours;
    this.packed = pack(colours);
    this.panel.hidden = true;
  }

  get known() {
    return this.names.length > 0;
  }

  show(labels) {
    this.panel.hidden = !labels;
    if (!labels) return;
    this.list.replaceChildren(...shares(labels).map(({ id, share }) => {
      const item = document.createElement("li");
      const swatch = document.createElement("i");
      swatch.style.background = this.colours[id] ?? "none";
      const percent = document.createElement("b");
      percent.textContent = share < 0.01 ? "under 1 %" : `${Math.round(share * 100)} %`;
      item.append(swatch, `${this.names[id] ?? `class ${id}`} `, percent);
      return item;
    }));
  }
}
