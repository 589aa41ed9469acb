/* Requests to the server that this page came from. */

import { readParts } from "./parts.js";
import { SUFFIX, UnreadableAnswer, measurePng, packRequest, parseAnswer, recognise } from "./protocol.js";

const TOKEN = "spair-token"; // name in the session's storage, which ends with the tab
const LONGEST_WAIT = 30; // seconds

/** Server that refuses a request. */
export class Refusal extends Error {
  /** @param {number} status @param {string} message @param {number | null} retryAfter seconds */
  constructor(status, message, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  get wantsToken() {
    return this.status === 401 || this.status === 403;
  }
}

/** Server that does not answer. */
export class Unreachable extends Error {}

export class Client {
  /** @param {string} base address of the page. */
  constructor(base) {
    this.base = base;
  }

  get token() {
    return sessionStorage.getItem(TOKEN) ?? "";
  }

  set token(value) {
    if (value) sessionStorage.setItem(TOKEN, value);
    else sessionStorage.removeItem(TOKEN);
  }

  /** List the names of models for picture files, without the suffix. */
  async listModels() {
    const answer = await this.send("v2/repository/index", { method: "POST", body: "{}", headers: JSON_TYPE });
    const entries = await readJson(answer);
    if (!Array.isArray(entries)) throw new UnreadableAnswer("it is no list of models");
    return entries
      .filter((entry) => entry.name?.endsWith(SUFFIX) && (entry.state ?? "READY") === "READY")
      .map((entry) => entry.name.slice(0, -SUFFIX.length));
  }

  /** Return the facts of a model by name, such as task and precision; empty if the server tells none. */
  async describeModel(name) {
    const metadata = await readJson(await this.send(`v2/models/${encodeURIComponent(name)}`, {}));
    return metadata.parameters ?? {};
  }

  /**
   * Restore a picture file.
   *
   * @param {string} model name without the suffix.
   * @param {Blob} file
   * @param {AbortSignal} signal
   * @param {(seconds: number) => void} onBusy is called before the request is sent again to a busy server.
   */
  async restore(model, file, signal, onBusy) {
    const wish = { format: "png", outputs: ["restored", "mask", "density"] };
    const { outputs, parameters } = await this.infer(model, file, wish, signal, onBusy);
    const restored = takeFile(outputs, "restored");
    const density = outputs.get("density")?.[0];
    if (typeof density !== "number") throw new UnreadableAnswer("it has no density");
    return {
      restored: new Blob([restored], { type: "image/png" }),
      mask: new Blob([takeFile(outputs, "mask")], { type: "image/png" }),
      density,
      size: measurePng(restored),
      milliseconds: pickMilliseconds(parameters),
    };
  }

  /** Restore a picture file into a file of its own format, with the kind that the answer has. */
  async restoreInKind(model, file, signal, onBusy) {
    const wish = { format: "input", outputs: ["restored"] };
    const restored = takeFile((await this.infer(model, file, wish, signal, onBusy)).outputs, "restored");
    const kind = recognise(restored);
    return { restored: new Blob([restored], { type: kind?.type ?? "application/octet-stream" }), kind };
  }

  /** List the cameras and streams that are shown; none on a server without them. */
  async listLive() {
    const views = await readJson(await this.send("live", {}));
    if (!Array.isArray(views)) throw new UnreadableAnswer("it is no list of cameras");
    return views;
  }

  /**
   * Watch a camera or stream until its end.
   *
   * @param {string} name
   * @param {string} show "restored", "mask" or "before".
   * @param {AbortSignal} signal
   * @yields {{picture: Blob, latency: number, density: number}} the latency in milliseconds, the density as a share.
   */
  async *watch(name, show, signal) {
    const answer = await this.send(`live/${encodeURIComponent(name)}?show=${show}`, { signal });
    try {
      for await (const { headers, content } of readParts(answer.body)) {
        yield {
          picture: new Blob([content], { type: headers.get("content-type") }),
          latency: Number(headers.get("x-latency-ms")),
          density: Number(headers.get("x-density")),
        };
      }
    } catch (error) {
      if (error instanceof UnreadableAnswer || error.name === "AbortError") throw error;
      throw new Unreachable(error.message);
    }
  }

  async infer(model, file, wish, signal, onBusy) {
    const { body, headers } = packRequest(file, wish);
    const path = `v2/models/${encodeURIComponent(model + SUFFIX)}/infer`;
    const options = { method: "POST", body, headers, signal };
    let answer;
    try {
      answer = await this.send(path, options);
    } catch (error) {
      if (!(error instanceof Refusal && error.status === 503 && error.retryAfter !== null)) throw error;
      onBusy(error.retryAfter);
      await wait(error.retryAfter, signal);
      answer = await this.send(path, options);
    }
    const length = answer.headers.get("Inference-Header-Content-Length");
    return parseAnswer(await readBody(answer.arrayBuffer()), length);
  }

  async send(path, { headers = {}, ...options }) {
    const authorization = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    const request = { ...options, headers: { ...headers, ...authorization }, credentials: "omit", cache: "no-store" };
    const answer = await readBody(fetch(new URL(path, this.base), request));
    if (!answer.ok) throw await readRefusal(answer);
    return answer;
  }
}

const JSON_TYPE = { "Content-Type": "application/json" };

/** Wait for a part of an answer; what fails on the way is a connection that broke. */
async function readBody(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable(error.message);
  }
}

async function readJson(answer) {
  const text = await readBody(answer.text());
  try {
    return JSON.parse(text);
  } catch {
    throw new UnreadableAnswer("it is not JSON");
  }
}

async function readRefusal(answer) {
  const text = await readBody(answer.text());
  let sentence = "";
  try {
    sentence = JSON.parse(text).error ?? "";
  } catch {
    sentence = ""; // a proxy's page: the status alone tells
  }
  return new Refusal(answer.status, String(sentence), readRetryAfter(answer.headers.get("Retry-After")));
}

/** Read Retry-After, which is seconds or a date. */
function readRetryAfter(value) {
  if (value === null) return null;
  const seconds = /^\d+$/.test(value.trim()) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? null : Math.min(Math.max(seconds, 0), LONGEST_WAIT);
}

function wait(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

function takeFile(outputs, name) {
  const bytes = outputs.get(name);
  if (!(bytes instanceof Uint8Array)) throw new UnreadableAnswer(`it has no file ${name}`);
  return bytes;
}

/** Pick the parameters that are times: stage -> milliseconds. */
function pickMilliseconds(parameters) {
  const times = Object.entries(parameters).filter(([name, value]) => name.endsWith("_ms") && typeof value === "number");
  return new Map(times.map(([name, value]) => [name.slice(0, -"_ms".length), value]));
}
