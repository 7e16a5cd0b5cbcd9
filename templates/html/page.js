"use strict";
const root = document.documentElement;
const theme = document.getElementById("theme");
theme.hidden = false;
theme.addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
document.querySelector(".folds").hidden = false;
for (const [id, open] of [["open", true], ["close", false]]) {
  document.getElementById(id).addEventListener("click", () => {
    for (const details of document.querySelectorAll(".gradient")) details.open = open;
  });
}
function show() {
  const at = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (at instanceof HTMLDetailsElement) at.open = true;
}
addEventListener("hashchange", show);
show();
function mark(event) {
  const of = event.target instanceof Element && event.target.closest("[data-of]")?.dataset.of;
  for (const each of document.querySelectorAll("[data-of]")) each.classList.toggle("marked", each.dataset.of === of);
}
document.addEventListener("mouseover", mark);
document.addEventListener("focusin", mark);
