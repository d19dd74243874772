// Follows the files: asks for their stamp, and when it is another puts the new page in place of the
// old one, where the author was reading.
"use strict"

const EVERY_MS = 500

function fit(frame) {
  const height = Math.ceil(frame.contentDocument.body.getBoundingClientRect().height)
  frame.style.height = `${height + 2}px` // the frame's own border
}

// Where a browser does not hand a frame's colour scheme on to the mail inside it (Safari), the
// mail's rules are told by name which of them hold.
function colour(frame) {
  const [wanted, other] = frame.matches(".dark") ? ["dark", "light"] : ["light", "dark"]
  if (frame.contentWindow.matchMedia(`(prefers-color-scheme: ${wanted})`).matches) return
  for (const style of frame.contentDocument.querySelectorAll("style")) {
    style.textContent = style.textContent
      .replaceAll(`prefers-color-scheme: ${wanted}`, "min-width: 0")
      .replaceAll(`prefers-color-scheme: ${other}`, "max-width: 0")
  }
}

function settle(frame) {
  if (frame.contentDocument?.URL !== "about:srcdoc") return
  colour(frame)
  new ResizeObserver(() => fit(frame)).observe(frame.contentDocument.body)
}

function frames() {
  return [...document.querySelectorAll("iframe")]
}

function begin() {
  for (const frame of frames()) {
    frame.addEventListener("load", () => settle(frame))
    if (frame.contentDocument?.readyState === "complete") settle(frame)
  }
}

async function refresh() {
  const answer = await fetch(location.href)
  const page = new DOMParser().parseFromString(await answer.text(), "text/html")
  // Until the new mails are there the frames keep their heights, so that nothing jumps.
  const heights = frames().map(frame => frame.style.height)
  page.querySelectorAll("iframe").forEach((frame, i) => { frame.style.height = heights[i] ?? "" })
  document.title = page.title
  document.body.replaceWith(document.adoptNode(page.body))
  begin()
}

async function look() {
  try {
    const stamp = await (await fetch("/stamp")).text()
    if (stamp !== document.body.dataset.stamp) await refresh()
    document.documentElement.classList.remove("away")
  } catch {
    document.documentElement.classList.add("away")
  }
  setTimeout(look, EVERY_MS)
}

begin()
look()
