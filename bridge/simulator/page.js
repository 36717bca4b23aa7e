// Keeps the simulator's page up to date. Once a second it asks for new calls; when some came, it takes the
// page anew and puts in the sections that changed: the server alone makes HTML.

const PERIOD_MS = 1000;
const PATIENCE_MS = 5000;
const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]];

const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const filter = document.getElementById("filter");
const connection = document.getElementById("connection");
let last = Number(document.querySelector("main").dataset.last);
let isFresh = true; // Nothing can have been missed since the page was taken.

async function ask(path, type) {
  const options = { headers: { Accept: type }, cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) };
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
}

async function refresh() {
  const news = await (await ask(`/_simulator/calls?after=${last}`, "application/json")).json();
  if (news.last !== last || !isFresh) show(await (await ask("/_simulator", "text/html")).text());
  last = news.last;
}

function show(html) {
  const held = document.activeElement.id;
  for (const fresh of new DOMParser().parseFromString(html, "text/html").querySelectorAll("section")) {
    const old = document.getElementById(fresh.id);
    if (!old.isEqualNode(fresh)) old.replaceWith(fresh);
  }
  document.getElementById(held)?.focus({ preventScroll: true });
}

function since(time) {
  const seconds = Math.max(0, (Date.now() - Date.parse(time.dateTime)) / 1000);
  const [unit, length] = UNITS.find(([, length]) => seconds >= length) ?? UNITS.at(-1);
  return words.format(-Math.floor(seconds / length), unit);
}

function dress() {
  const wanted = filter.value.toLowerCase();
  for (const item of document.querySelectorAll("article, #calls li"))
    item.hidden = !item.textContent.toLowerCase().includes(wanted);
  for (const time of document.querySelectorAll("time")) time.textContent = since(time);
  for (const origin of document.querySelectorAll(".origin")) origin.textContent = location.origin;
}

function tell(connected) {
  isFresh = connected;
  connection.className = connected ? "live" : "away";
  const text = connected ? "Live" : "Not connected: the simulator does not answer. Trying again every second.";
  if (connection.textContent !== text) connection.textContent = text;
}

filter.hidden = false;
filter.addEventListener("input", dress);
addEventListener("focus", () => { isFresh = false; }); // What is set up by hand is no call.
for (;;) {
  if (!document.hidden) {
    tell(await refresh().then(() => true, () => false));
    dress();
  }
  await new Promise((resume) => setTimeout(resume, PERIOD_MS));
}
