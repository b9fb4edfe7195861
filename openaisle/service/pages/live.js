// Live: the part of a page that changes is fetched again, and put in place when it is different.
const live = document.getElementById("live");
let before = live ? live.innerHTML : "";

async function renew() {
  try {
    const answer = await fetch(live.dataset.from, { credentials: "same-origin", cache: "no-store" });
    if (answer.status === 401) location.reload();
    const after = await answer.text();
    if (answer.ok && after !== before) live.innerHTML = before = after;
  } catch {
    // the network is away; the next try is soon
  }
  setTimeout(renew, Number(live.dataset.every));
}

if (live) setTimeout(renew, Number(live.dataset.every));
