/* Photos, and the queue in which the server restores them. */

import { Refusal } from "./client.js";
import { SIGNATURE, recognise } from "./protocol.js";

/** Photo that a person chose. */
export class Photo {
  /** @param {File} file */
  constructor(file) {
    this.file = file;
    this.name = file.name || "photo";
    this.address = URL.createObjectURL(file);
    this.kind = null; // known once its first bytes were read
    this.jobs = new Map(); // by model
  }

  /** Read the first bytes. Throws NotReadableError if the file has gone. */
  async recognise() {
    this.kind = recognise(new Uint8Array(await this.file.slice(0, SIGNATURE).arrayBuffer()));
  }

  /** Give the memory back. */
  release() {
    URL.revokeObjectURL(this.address);
    for (const job of this.jobs.values()) job.release();
  }
}

/** Restoring of a photo with a model. */
export class Job {
  constructor(photo, model) {
    this.photo = photo;
    this.model = model;
    this.state = "waiting"; // then working; then done, failed or cancelled
    this.busySeconds = null; // wait for a busy server
    this.result = null;
    this.original = null; // file in the photo's own format, once it was asked for
    this.error = null;
    this.began = 0;
    this.addresses = {};
  }

  get isOpen() {
    return this.state === "waiting" || this.state === "working";
  }

  finish(result) {
    this.result = { ...result, total: performance.now() - this.began };
    this.addresses = { after: URL.createObjectURL(result.restored), mask: URL.createObjectURL(result.mask) };
    this.state = "done";
  }

  /** Keep the file in the photo's own format. */
  keepOriginal({ restored, kind }) {
    this.original = { address: URL.createObjectURL(restored), kind };
  }

  release() {
    for (const address of Object.values(this.addresses)) URL.revokeObjectURL(address);
    if (this.original) URL.revokeObjectURL(this.original.address);
  }
}

/** Queue that sends one photo after another. */
export class Queue {
  /**
   * @param {import("./client.js").Client} client
   * @param {{onChange: (job: Job) => void, onToken: (refusal: Refusal) => void}} listeners `onToken` is told that the
   *   server wants a token; the queue rests until `resume`.
   */
  constructor(client, { onChange, onToken }) {
    this.client = client;
    this.onChange = onChange;
    this.onToken = onToken;
    this.jobs = [];
    this.rests = false;
    this.running = null;
  }

  /** Line up a job, new or again. */
  add(job) {
    job.state = "waiting";
    job.error = null;
    this.jobs.push(job);
    this.onChange(job);
    this.next();
  }

  /** Give a job up, whether it waits or works. */
  cancel(job) {
    this.jobs = this.jobs.filter((other) => other !== job);
    if (job.isOpen) job.state = "cancelled";
    job.busySeconds = null;
    if (this.running?.job === job) this.running.controller.abort();
    this.onChange(job);
  }

  /** Go on after a rest. */
  resume() {
    this.rests = false;
    this.next();
  }

  async next() {
    if (this.running || this.rests || this.jobs.length === 0) return;
    const job = this.jobs.shift();
    this.running = { job, controller: new AbortController() };
    job.state = "working";
    job.began = performance.now();
    this.onChange(job);
    const { signal } = this.running.controller;
    try {
      const result = await this.restore(job, signal);
      if (!signal.aborted) job.finish(result);
    } catch (error) {
      if (!signal.aborted) this.settle(job, error);
    }
    job.busySeconds = null;
    this.running = null;
    this.onChange(job);
    this.next();
  }

  async restore(job, signal) {
    await job.photo.recognise();
    this.onChange(job);
    return this.client.restore(job.model, job.photo.file, signal, (seconds) => {
      job.busySeconds = seconds;
      this.onChange(job);
    });
  }

  settle(job, error) {
    if (error instanceof Refusal && error.wantsToken) {
      job.state = "waiting";
      this.jobs.unshift(job);
      this.rests = true;
      this.onToken(error);
    } else {
      job.state = "failed";
      job.error = error;
    }
  }
}
