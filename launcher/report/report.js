"use strict";
// The page is complete without this: it only adds values under the pointer, large pictures, and open tables in print.
document.documentElement.classList.add("is-live");

for (const plot of document.querySelectorAll(".plot")) {
  const points = JSON.parse(plot.dataset.points); // [from the left, from the top, words], both of 1000
  if (!points.length) continue;
  const cross = plot.querySelector(".cross");
  const dot = plot.querySelector(".dot");
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  plot.parentElement.append(tip);

  const read = (event) => {
    const box = plot.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * 1000;
    let near = points[0];
    for (const point of points) if (Math.abs(point[0] - at) < Math.abs(near[0] - at)) near = point;
    const x = near[0] / 10 + "%";
    cross.setAttribute("x1", x);
    cross.setAttribute("x2", x);
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", near[1] / 10 + "%");
    plot.classList.add("is-read");
    tip.textContent = near[2];
    tip.hidden = false;
    const left = plot.getBoundingClientRect().left - plot.parentElement.getBoundingClientRect().left;
    const place = left + (near[0] / 1000) * box.width;
    tip.style.left = (near[0] > 600 ? place - tip.offsetWidth - 10 : place + 10) + "px";
  };
  const leave = () => {
    plot.classList.remove("is-read");
    tip.hidden = true;
  };
  plot.addEventListener("pointermove", read);
  plot.addEventListener("pointerdown", read);
  plot.addEventListener("pointerleave", leave);
}

const dialog = document.querySelector("dialog");
dialog.addEventListener("click", () => dialog.close());
for (const image of document.querySelectorAll(".shots img")) {
  image.addEventListener("click", () => {
    dialog.replaceChildren(image.cloneNode());
    dialog.showModal();
  });
}

addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
