"use strict";
document.documentElement.classList.add("scripted");

/* Rows, curves and lines of the table that show a class. */
const filter = document.querySelector(".filter");
const shownOf = filter.querySelector("output");
filter.hidden = filter.querySelectorAll("option").length < 3;
filter.addEventListener("submit", (event) => event.preventDefault());
filter.querySelector("select").addEventListener("change", (event) => {
  const wanted = event.target.value;
  let shown = 0;
  for (const item of document.querySelectorAll("[data-classes]")) {
    item.hidden = wanted !== "" && !item.dataset.classes.split(" ").includes(wanted);
    shown += item.matches(".row") && !item.hidden ? 1 : 0;
  }
  for (const gallery of document.querySelectorAll(".gallery")) {
    gallery.nextElementSibling.hidden = gallery.querySelector(".row:not([hidden])") !== null;
  }
  shownOf.textContent = wanted === "" ? "" : `rows of pictures that show it: ${shown}`;
});

/* A picture in the size that it has; arrow keys go to the next one that is not filtered out. */
const dialog = document.querySelector("dialog");
let current = null;
function show(button) {
  const image = button.querySelector("img");
  current = button;
  dialog.querySelector("img").src = image.src;
  dialog.querySelector("img").alt = image.alt;
  dialog.querySelector("p").textContent = image.alt;
  if (!dialog.open) dialog.showModal();
}
for (const button of document.querySelectorAll(".zoom")) button.addEventListener("click", () => show(button));
dialog.addEventListener("click", (event) => {
  if (event.target.tagName !== "P") dialog.close();
});
dialog.addEventListener("close", () => current?.focus());
dialog.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step === undefined) return;
  const buttons = [...document.querySelectorAll(".row:not([hidden]) .zoom")];
  show(buttons[(buttons.indexOf(current) + step + buttons.length) % buttons.length]);
});

/* On paper everything is open. */
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details:not([open])")) {
    folded.open = true;
    folded.dataset.folded = "";
  }
});
addEventListener("afterprint", () => {
  for (const folded of document.querySelectorAll("details[data-folded]")) {
    folded.open = false;
    delete folded.dataset.folded;
  }
});
