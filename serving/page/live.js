/* Cameras and streams that the server restores as they come. */

import { describeDensity, writeMilliseconds, writePercent } from "./words.js";

const COUNTED = 20; // intervals between frames that the pace is the mean of

const byId = (id) => document.getElementById(id);

export class LiveView {
  /**
   * @param {import("./client.js").Client} client
   * @param {{onStart: () => void, onEnd: (error: Error | null) => void}} listeners `onEnd` is told of the error, or of
   *   none at the end.
   */
  constructor(client, { onStart, onEnd }) {
    this.client = client;
    this.onStart = onStart;
    this.onEnd = onEnd;
    this.isOpen = false;
    this.running = null;
    this.address = "";
    byId("view").addEventListener("change", () => this.start());
    for (const button of document.querySelectorAll('[name="seen"]')) button.addEventListener("change", () => this.start());
  }

  /** Name what there is to see. */
  offer(views) {
    byId("view").replaceChildren(...views.map(({ name, source }) => new Option(`${name} (${source})`, name)));
  }

  open() {
    this.isOpen = true;
    this.start();
  }

  close() {
    this.isOpen = false;
    this.running?.abort();
    this.clear();
  }

  /** Show what is chosen from now on. */
  async start() {
    this.running?.abort();
    const running = (this.running = new AbortController());
    this.clear();
    this.onStart();
    byId("sight").textContent = "Opening the camera";
    let error = null;
    try {
      for await (const frame of this.client.watch(byId("view").value, this.choice, running.signal)) await this.draw(frame);
    } catch (caught) {
      error = caught;
    }
    if (running.signal.aborted) return; // the person has gone on
    this.clear();
    this.onEnd(error);
  }

  get choice() {
    return document.querySelector('[name="seen"]:checked').value;
  }

  /** Show a frame; the next one is read once it is seen, so a slow browser misses frames and stays in the present. */
  async draw({ picture, latency, density }) {
    const image = byId("now");
    const before = this.address;
    this.address = URL.createObjectURL(picture);
    image.src = this.address;
    await image.decode().catch(() => {}); // another one took its place meanwhile
    if (before) URL.revokeObjectURL(before);
    this.times = [...this.times.slice(-COUNTED), performance.now()];
    byId("sight").textContent = "";
    byId("figures").hidden = false;
    byId("latency").textContent = writeMilliseconds(latency);
    byId("found").textContent = writePercent(density);
    byId("said").textContent = describeDensity(density);
    byId("pace").textContent = this.times.length > 1 ? this.measurePace().toFixed(1) : "";
  }

  measurePace() {
    return (1000 * (this.times.length - 1)) / (this.times.at(-1) - this.times[0]);
  }

  clear() {
    this.times = [];
    byId("sight").textContent = "";
    byId("figures").hidden = true;
    byId("now").removeAttribute("src");
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = "";
  }
}
