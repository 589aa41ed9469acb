/* Page of a server that restores photos. */

import { Client, Refusal } from "./client.js";
import { LiveView } from "./live.js";
import { Job, Photo, Queue } from "./jobs.js";
import { receiveFiles } from "./receiving.js";
import { showResult } from "./result.js";
import { Strip } from "./strip.js";
import { Viewer } from "./viewer.js";
import { describeDensity, explainEnd, explainError, nameRestored, writeBytes, writePercent } from "./words.js";

const byId = (id) => document.getElementById(id);
const client = new Client(document.baseURI);
const queue = new Queue(client, { onChange: announce, onToken: askToken });
const viewer = new Viewer(byId("stage"));
const live = new LiveView(client, { onStart: startLive, onEnd: endLive });
const strip = new Strip(byId("strip"), select);
const state = { photos: [], selected: null, model: "", problem: null };

// Models

async function loadModels() {
  forgetProblem();
  try {
    const names = await client.listModels();
    byId("model").replaceChildren(...names.map((name) => new Option(name, name)));
    byId("model").disabled = names.length === 0;
    if (names.length === 0) {
      state.problem = { text: "This server has no model for photos that is ready.", again: loadModels };
    } else {
      await chooseModel(names[0]);
      state.photos.forEach(lineUp); // those chosen before the models were known
    }
    await loadLive();
  } catch (error) {
    if (error instanceof Refusal && error.wantsToken) askToken(error);
    else state.problem = { text: explainError(error), again: loadModels };
  }
  render();
}

async function chooseModel(name) {
  state.model = name;
  byId("facts").textContent = "";
  if (state.selected) lineUp(state.selected);
  render();
  let facts = {};
  try {
    facts = await client.describeModel(name);
  } catch {
    return; // the facts are an ornament; what is wrong shows when a photo is sent
  }
  const values = ["task", "preset", "precision", "backend"].map((key) => facts[key]);
  if (state.model === name) byId("facts").textContent = [...new Set(values.filter(Boolean))].join(" · ");
}

// Cameras and streams

async function loadLive() {
  const views = await client.listLive();
  live.offer(views);
  byId("watch").hidden = views.length === 0;
}

function toggleLive() {
  forgetProblem();
  if (live.isOpen) live.close();
  else live.open();
  render();
}

function startLive() {
  forgetProblem(); // of the one before
  render();
}

/** Say why a camera or stream ended, which the server knows where the answer came to its end. */
async function endLive(error) {
  try {
    const view = error ? null : (await client.listLive()).find(({ name }) => name === byId("view").value);
    if (error instanceof Refusal && error.wantsToken) askToken(error);
    else state.problem = { text: error ? explainError(error) : explainEnd(view), again: () => live.start() };
  } catch (caught) {
    state.problem = { text: explainError(caught), again: () => live.start() };
  }
  render();
}

// Photos

function addFiles(files) {
  const photos = [...files].map((file) => new Photo(file));
  if (photos.length === 0) return;
  live.close();
  state.photos.push(...photos);
  const chose = document.activeElement === byId("choose"); // it is hidden now, so the focus moves on
  photos.forEach(lineUp);
  select(photos[0]);
  if (chose) byId("add").focus();
}

/** Queue a photo for the chosen model, unless that was done. */
function lineUp(photo) {
  if (!state.model || photo.jobs.has(state.model)) return;
  const job = new Job(photo, state.model);
  photo.jobs.set(state.model, job);
  queue.add(job);
}

function select(photo) {
  state.selected = photo;
  lineUp(photo);
  render();
}

function removeSelected() {
  const place = state.photos.indexOf(state.selected);
  for (const job of state.selected.jobs.values()) queue.cancel(job);
  const [photo] = state.photos.splice(place, 1);
  state.selected = state.photos[Math.min(place, state.photos.length - 1)] ?? null;
  render();
  photo.release();
  (state.selected ? byId("remove") : byId("choose")).focus();
}

const currentJob = () => state.selected?.jobs.get(state.model) ?? null;

// Token

function askToken(refusal) {
  forgetProblem();
  byId("door").hidden = false;
  byId("why").textContent = explainError(refusal);
  byId("token").value = "";
  render();
  byId("token").focus();
}

byId("door").addEventListener("submit", (event) => {
  event.preventDefault();
  client.token = byId("token").value.trim();
  byId("door").hidden = true;
  forgetProblem();
  if (live.isOpen) live.start();
  if (state.model) queue.resume();
  else loadModels().then(() => queue.resume());
  render();
});

function forgetProblem() {
  state.problem = null;
}

// Downloads

async function downloadOriginal() {
  const job = currentJob();
  const button = byId("original");
  if (button.hasAttribute("aria-busy")) return;
  if (!job.original) {
    button.setAttribute("aria-busy", "true");
    say("Preparing the file");
    try {
      const signal = new AbortController().signal;
      const sayBusy = () => say("The server is busy; trying again soon");
      job.keepOriginal(await client.restoreInKind(job.model, job.photo.file, signal, sayBusy));
    } catch (error) {
      if (error instanceof Refusal && error.wantsToken) askToken(error);
      else state.problem = { text: explainError(error), again: downloadOriginal, job };
      render();
      return;
    } finally {
      button.removeAttribute("aria-busy");
    }
  }
  const { address, kind } = job.original;
  const link = document.createElement("a");
  link.href = address;
  link.download = nameRestored(job.photo.name, kind?.ending ?? "file");
  link.click();
  say(`${link.download} is downloaded`);
}

// What is seen

function render() {
  const photo = state.selected;
  byId("empty").hidden = live.isOpen || Boolean(photo);
  byId("work").hidden = live.isOpen || !photo;
  byId("live").hidden = !live.isOpen;
  byId("chooser").hidden = live.isOpen;
  byId("watch").textContent = live.isOpen ? "Photos" : "Live";
  byId("add").hidden = live.isOpen || !photo;
  strip.show(state.photos, photo, state.model);
  renderNotice();
  if (photo) renderPhoto(photo, currentJob());
}

function renderNotice() {
  const job = currentJob();
  const own = job?.state === "failed" ? { text: explainError(job.error), again: () => queue.add(job) } : null;
  const stopped = job?.state === "cancelled" ? { text: "Cancelled.", again: () => queue.add(job) } : null;
  const isElsewhere = state.problem?.job && state.problem.job !== job; // it belongs to another photo
  const problem = (isElsewhere ? null : state.problem) ?? own ?? stopped;
  byId("notice").hidden = !problem;
  byId("notice").classList.toggle("calm", problem === stopped);
  if (byId("reason").textContent !== (problem?.text ?? "")) byId("reason").textContent = problem?.text ?? "";
  byId("again").hidden = !problem?.again;
  byId("again").onclick = problem?.again ? () => retry(problem.again) : null;
}

function retry(action) {
  forgetProblem();
  action();
  render();
}

function renderPhoto(photo, job) {
  const done = job?.state === "done";
  viewer.show({
    name: photo.name,
    kind: photo.kind?.name ?? "such",
    hopes: job?.isOpen ?? true,
    before: photo.address,
    ...(done ? { ...job.addresses, size: job.result.size } : {}),
  });
  byId("name").textContent = photo.name;
  const size = done ? `${job.result.size.width} × ${job.result.size.height} px` : "";
  byId("about").textContent = [size, photo.kind?.name, writeBytes(photo.file.size)].filter(Boolean).join(" · ");
  byId("mask").disabled = !done || !viewer.canMask;
  renderMask();
  byId("result").hidden = !done;
  if (done) showResult(photo, job);
  renderProgress(job);
}

function renderMask() {
  const seen = byId("mask").checked && !byId("mask").disabled;
  byId("opacity").disabled = !seen;
  viewer.setMask(seen, Number(byId("opacity").value));
}

function renderProgress(job) {
  byId("progress").hidden = !job?.isOpen;
  byId("stage").classList.toggle("working", job?.state === "working");
  byId("doing").textContent = describeDoing(job);
  renderElapsed();
}

function describeDoing(job) {
  if (!job?.isOpen) return "";
  if (job.busySeconds !== null) return "The server is busy; trying once more";
  return job.state === "waiting" ? "Waiting" : "Restoring";
}

function renderElapsed() {
  const job = currentJob();
  const seconds = job?.state === "working" ? Math.floor((performance.now() - job.began) / 1000) : 0;
  byId("elapsed").textContent = seconds ? `${seconds} s` : "";
}

/** Say a sentence to those who hear the page. */
function say(sentence) {
  byId("status").textContent = sentence;
}

function announce(job) {
  const { name } = job.photo;
  if (job.state === "working") say(job.busySeconds === null ? `Restoring ${name}` : "The server is busy; trying again");
  if (job.state === "done") {
    say(`${name} is restored; ${writePercent(job.result.density)} ${describeDensity(job.result.density)}`);
  }
  if (job.state === "cancelled") say(`${name} was cancelled`);
  if (job.state === "failed" && job !== currentJob()) say(`${name} failed: ${explainError(job.error)}`);
  render();
}

// What a person does

receiveFiles(addFiles);
byId("model").addEventListener("change", (event) => chooseModel(event.target.value));
byId("cancel").addEventListener("click", () => {
  queue.cancel(currentJob());
  byId("again").focus();
});
byId("watch").addEventListener("click", toggleLive);
byId("remove").addEventListener("click", removeSelected);
byId("original").addEventListener("click", downloadOriginal);
byId("mask").addEventListener("change", renderMask);
byId("opacity").addEventListener("input", renderMask);
for (const button of document.querySelectorAll('[name="zoom"]')) {
  button.addEventListener("change", () => viewer.setZoom(button.value));
}
viewer.onScale = (scale) => {
  byId("scale").textContent = viewer.zoom === "fit" ? `${Math.round(100 * scale)} %` : "";
};

setInterval(renderElapsed, 500);
loadModels();
