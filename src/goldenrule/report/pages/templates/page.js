// The only script of a page, allowed by its digest. Without it everything is there but the sliders.
const all = (selector, inside = document) => inside.querySelectorAll(selector);
addEventListener("beforeprint", () => { for (const folded of all("details")) folded.open = true; });

// A link to something folded opens what holds it.
function unfold() {
  const name = decodeURIComponent(location.hash.slice(1));
  const target = name && document.getElementById(name);
  if (!target) return;
  for (const folded of all("details", target)) if (folded.parentElement === target) folded.open = true;
  for (let one = target; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
  target.scrollIntoView({ block: "nearest" });
}
addEventListener("hashchange", unfold);
unfold();

// A threshold's slider shows what was counted at that step; nothing is computed here.
for (const panel of all("[data-steps]")) {
  const steps = JSON.parse(panel.dataset.steps);
  const slider = panel.querySelector("input[type=range]");
  const cells = all("[data-cell]", panel);
  const [precision, roc] = all("circle.at", panel);
  const show = () => {
    const step = steps[Number(slider.value)];
    for (const cell of cells) cell.textContent = step[Number(cell.dataset.cell)];
    precision.setAttribute("cx", step[6]); precision.setAttribute("cy", step[7]);
    roc.setAttribute("cx", step[8]); roc.setAttribute("cy", step[9]);
    slider.setAttribute("aria-valuetext", step[0]);
  };
  slider.addEventListener("input", show);
  panel.querySelector(".slider").hidden = false;
}
