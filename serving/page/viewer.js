/* Viewer that shows a picture before and after, with its mask. */

const LARGEST_FIT = 3; // times that a small picture is enlarged to fill the place
const MARGIN = 28; // CSS pixels between the divider and the edge of what is seen
const LUMINANCE = CSS.supports("mask-mode", "luminance");

export class Viewer {
  /** @param {HTMLElement} stage element of index.html with the parts of the viewer. */
  constructor(stage) {
    const part = (name) => stage.querySelector(`[data-part="${name}"]`);
    this.stage = stage;
    this.scroller = part("scroller");
    this.frame = part("frame");
    this.before = part("before");
    this.after = part("after");
    this.mask = part("mask");
    this.split = part("split");
    this.note = part("note");
    this.size = null;
    this.zoom = "fit";
    this.shown = { before: "", after: "", mask: "" };
    this.onScale = () => {};
    this.listen();
  }

  /** Whether this browser can draw the mask. */
  get canMask() {
    return LUMINANCE;
  }

  /**
   * Show a picture.
   *
   * @param {{name: string, before: string, after?: string, mask?: string, size?: {width: number, height: number},
   *   kind: string, hopes: boolean}} picture addresses of the files; without `after` only the picture itself is shown,
   *   and `hopes` tells whether a restored one may still come.
   */
  show({ name, before, after = "", mask = "", size = null, kind, hopes }) {
    Object.assign(this, { kind, hopes });
    if (size) this.setSize(size);
    if (before !== this.shown.before || after !== this.shown.after) this.change(name, before, after, mask);
    this.update();
  }

  change(name, before, after, mask) {
    if (before !== this.shown.before) this.load(this.before, before);
    this.load(this.after, after);
    this.shown = { before, after, mask };
    this.mask.style.maskImage = mask ? `url("${mask}")` : "none";
    this.before.alt = after ? `${name}, before` : name;
    this.after.alt = after ? `${name}, restored` : "";
    this.stage.classList.toggle("compares", Boolean(after));
    this.setSplit(50);
  }

  load(image, address) {
    image.dataset.state = address ? "loading" : "";
    if (address) image.src = address;
    else image.removeAttribute("src");
  }

  listen() {
    for (const image of [this.before, this.after]) {
      image.addEventListener("load", () => this.settle(image, "shown"));
      image.addEventListener("error", () => image.hasAttribute("src") && this.settle(image, "unseen"));
    }
    this.split.addEventListener("input", () => this.setSplit(Number(this.split.value)));
    this.scroller.addEventListener("scroll", () => this.keepInSight());
    new ResizeObserver(() => this.update()).observe(this.stage);
    this.listenToPointers();
  }

  settle(image, state) {
    image.dataset.state = state;
    if (image === this.before && state === "shown" && !this.shown.after) {
      this.setSize({ width: image.naturalWidth, height: image.naturalHeight });
    }
    this.update();
  }

  /** Take the size of the picture in pixels. */
  setSize(size) {
    this.size = size;
    this.stage.style.setProperty("--ratio", String(size.width / size.height));
  }

  /** Put the divider at a place. @param {number} percent of the width, what lies left of it is before. */
  setSplit(percent) {
    const place = Math.min(100, Math.max(0, percent));
    this.split.value = String(place);
    this.split.setAttribute("aria-valuetext", `${Math.round(place)} % before, ${Math.round(100 - place)} % restored`);
    this.frame.style.setProperty("--split", `${place}%`);
  }

  /** Draw the mask over the picture. @param {boolean} seen @param {number} percent opacity */
  setMask(seen, percent) {
    this.mask.hidden = !seen;
    this.mask.style.opacity = String(percent / 100);
  }

  /** Choose the scale. @param {"fit" | "1" | "2"} zoom CSS pixels for each pixel of the picture. */
  setZoom(zoom) {
    this.zoom = zoom;
    this.update();
    const { scrollWidth, clientWidth, scrollHeight, clientHeight } = this.scroller;
    this.scroller.scrollTo((scrollWidth - clientWidth) / 2, (scrollHeight - clientHeight) / 2);
    this.keepInSight();
  }

  update() {
    const unseen = this.before.dataset.state === "unseen";
    this.stage.classList.toggle("unseen", unseen);
    this.split.disabled = unseen;
    this.note.textContent = unseen ? this.explainUnseen() : "";
    if (!this.size) return;
    const scale = this.zoom === "fit" ? this.measureFit() : Number(this.zoom);
    this.frame.style.width = `${this.size.width * scale}px`;
    this.frame.style.height = `${this.size.height * scale}px`;
    const larger = this.scroller.scrollWidth > this.scroller.clientWidth + 1
      || this.scroller.scrollHeight > this.scroller.clientHeight + 1;
    this.scroller.tabIndex = larger ? 0 : -1; // arrow keys scroll it
    this.stage.classList.toggle("scrolls", larger);
    this.onScale(scale);
  }

  measureFit() {
    const { clientWidth, clientHeight } = this.stage;
    return Math.min(clientWidth / this.size.width, clientHeight / this.size.height, LARGEST_FIT);
  }

  explainUnseen() {
    const what = `This browser cannot show ${this.kind} files`;
    if (this.shown.after) return `${what}, so you see the restored picture only. It is complete.`;
    return this.hopes ? `${what}, but the server reads many that it cannot.` : `${what}.`;
  }

  /** Move the divider to the edge of what is seen, if scrolling left it behind. */
  keepInSight() {
    const view = this.scroller.getBoundingClientRect();
    const frame = this.frame.getBoundingClientRect();
    if (!this.stage.classList.contains("scrolls") || frame.width <= view.width) return;
    const place = frame.left + (frame.width * Number(this.split.value)) / 100;
    const inside = Math.min(Math.max(place, view.left + MARGIN), view.right - MARGIN);
    if (inside !== place) this.setSplit((100 * (inside - frame.left)) / frame.width);
  }

  listenToPointers() {
    let held = null; // how a press goes on: "split" moves the divider, "pan" the picture
    this.frame.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const grip = event.target.closest('[data-part="grip"]');
      const scrolls = this.stage.classList.contains("scrolls");
      if (scrolls && !grip && event.pointerType !== "mouse") return; // the browser scrolls
      held = scrolls && !grip ? "pan" : "split";
      this.frame.setPointerCapture(event.pointerId);
      if (event.pointerType === "mouse") event.preventDefault(); // no drag of the image
      if (held === "split" && event.pointerType === "mouse") this.follow(event);
    });
    this.frame.addEventListener("pointermove", (event) => {
      if (held === "split") this.follow(event);
      if (held === "pan") this.scroller.scrollBy(-event.movementX, -event.movementY);
    });
    this.frame.addEventListener("pointerup", (event) => {
      if (held === "split") this.follow(event); // a tap
      held = null;
    });
    this.frame.addEventListener("pointercancel", () => (held = null)); // the finger scrolls the page
  }

  follow(event) {
    const frame = this.frame.getBoundingClientRect();
    if (!this.split.disabled) this.setSplit((100 * (event.clientX - frame.left)) / frame.width);
  }
}
