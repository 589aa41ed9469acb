/* Photos that a person chooses, drops or pastes. */

const byId = (id) => document.getElementById(id);
const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");

/** Hand over the files of all three ways. @param {(files: Iterable<File>) => void} onFiles */
export function receiveFiles(onFiles) {
  for (const id of ["choose", "add"]) byId(id).addEventListener("click", () => byId("files").click());
  byId("files").addEventListener("change", (event) => {
    onFiles([...event.target.files]);
    event.target.value = ""; // the same file may be chosen again
  });
  document.addEventListener("paste", (event) => onFiles(event.clipboardData?.files ?? []));
  receiveDrops(onFiles);
}

function receiveDrops(onFiles) {
  let depth = 0; // elements entered and not left by what is dragged
  const show = (count) => {
    depth = Math.max(count, 0);
    byId("target").classList.toggle("open", depth > 0);
  };
  document.addEventListener("dragenter", (event) => holdsFiles(event) && show(depth + 1));
  document.addEventListener("dragleave", (event) => holdsFiles(event) && show(depth - 1));
  document.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    show(0);
    onFiles(event.dataTransfer.files);
  });
}
