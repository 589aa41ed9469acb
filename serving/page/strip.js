/* Strip of small pictures, one for each photo. */

const WORDS = { waiting: "waiting", working: "restoring", done: "restored", failed: "failed", cancelled: "cancelled" };

export class Strip {
  /** @param {HTMLElement} element @param {(photo: import("./jobs.js").Photo) => void} onSelect */
  constructor(element, onSelect) {
    this.element = element;
    this.onSelect = onSelect;
    this.buttons = new Map(); // by photo; they stay, so that the focus does
  }

  /** Show the photos with the state of their jobs for a model. One photo alone needs no strip. */
  show(photos, selected, model) {
    for (const [photo, button] of this.buttons) {
      if (photos.includes(photo)) continue;
      button.remove();
      this.buttons.delete(photo);
    }
    for (const photo of photos) {
      if (!this.buttons.has(photo)) this.add(photo);
      this.update(this.buttons.get(photo), photo, photo === selected, photo.jobs.get(model)?.state ?? "");
    }
    this.element.hidden = photos.length < 2;
  }

  add(photo) {
    const button = document.createElement("button");
    button.type = "button";
    const image = document.createElement("img");
    image.alt = "";
    image.decoding = "async";
    image.addEventListener("error", () => button.classList.add("unseen"));
    image.src = photo.address;
    const name = document.createElement("span");
    name.textContent = photo.name;
    button.append(image, name);
    button.addEventListener("click", () => this.onSelect(photo));
    this.buttons.set(photo, button);
    this.element.append(button);
  }

  update(button, photo, isSelected, state) {
    button.dataset.state = state;
    button.setAttribute("aria-label", [photo.name, WORDS[state]].filter(Boolean).join(", "));
    button.title = photo.name;
    if (isSelected) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}
