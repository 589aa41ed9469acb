/* Words and numbers as people read them. */

import { Refusal, Unreachable } from "./client.js";
import { UnreadableAnswer } from "./protocol.js";

const STAGES = {
  queue: "Waiting for its turn",
  decode: "Reading the file",
  pre: "Preparing",
  net_l: "Finding distortion",
  context: "Gathering context",
  net_r: "Repairing",
  model: "Restoring",
  post: "Putting together",
  encode: "Writing the file",
};

/** Name a stage of the server in plain words. */
export function nameStage(stage) {
  return STAGES[stage] ?? stage.replaceAll("_", " ");
}

/** Write a share of 0 to 1 in per cent; what is neither none nor all never looks like it. */
export function writePercent(share) {
  const percent = 100 * share;
  if (share > 0 && percent < 0.1) return "< 0.1 %";
  if (share < 1 && percent > 99.9) return "> 99.9 %";
  return `${percent.toLocaleString("en", { maximumFractionDigits: 1 })} %`;
}

/** Say what a density is a share of; a network without a mask repairs every pixel, distorted or not. */
export function describeDensity(share) {
  return `of the pixels were ${share < 1 ? "found distorted" : "restored"}`;
}

/** Write milliseconds, with a decimal where there are few. */
export function writeMilliseconds(value) {
  const digits = value < 10 ? 1 : 0;
  return `${value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits })} ms`;
}

/** Write a number of bytes. */
export function writeBytes(count) {
  if (count < 1000) return `${count} bytes`;
  if (count < 1e6) return `${Math.round(count / 1e3)} kB`;
  return `${(count / 1e6).toFixed(1)} MB`;
}

/** Name the file for the restored picture: photo.jpg -> photo-restored.png. */
export function nameRestored(name, ending) {
  const stem = name.replace(/\.[^.]*$/, "") || "photo";
  return `${stem}-restored.${ending}`;
}

const SENTENCES = {
  401: "This server asks for a token.",
  403: "This token is not the server's.",
  404: "The server does not serve this model any more; load the page again.",
  413: "The photo is larger than this server takes; choose a smaller one.",
  429: "The server gets too many requests; try again in a while.",
  502: "The server behind this address does not answer; try again in a while.",
  503: "The server is busy; try again in a while.",
  504: "The photo waited too long for the server; try again in a while.",
};

/** Explain an error to a person, in a sentence. */
export function explainError(error) {
  if (error instanceof Refusal) {
    const own = SENTENCES[error.status] ?? `The server refused the request (status ${error.status}).`;
    const isTold = error.message && error.status !== 401; // that one tells programs of a header
    return isTold ? startSentence(error.message) : own;
  }
  if (error instanceof Unreachable) {
    return "The server does not answer, or the connection broke. Check that it runs, then try again.";
  }
  if (error instanceof UnreadableAnswer) return `The server's answer cannot be read: ${error.message}.`;
  if (error.name === "NotReadableError" || error.name === "NotFoundError") {
    return "The file cannot be read; it was moved or changed, or it is a folder. Choose it again.";
  }
  return `Something on this page went wrong: ${error.message}.`;
}

/** Explain why a camera or stream shows nothing more. */
export function explainEnd(view) {
  return view?.error ? `The picture ended: ${view.error}.` : "The picture ended.";
}

/** Give the server's sentence its capital and its full stop. */
function startSentence(text) {
  const sentence = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
}
