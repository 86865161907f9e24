// What every page does: buttons and forms that ask the API, and parts that follow what happens.
const said = document.getElementById("said");
let silence;

export function say(words) {
  said.textContent = words;
  clearTimeout(silence);
  silence = setTimeout(() => { said.textContent = ""; }, 8000);
}

const FILES = {csv: "text/csv", parquet: "application/vnd.apache.parquet"};

// All mistakes stand in the form that they were made in, until it is sent again.
function tell(form, lines) {
  form?.querySelector(".mistakes")?.remove();
  if (!form || !lines.length) return;
  const list = document.createElement("ul");
  list.className = "mistakes bad";
  list.setAttribute("role", "alert");
  list.append(...lines.map((line) => Object.assign(document.createElement("li"), {textContent: line})));
  form.append(list);
}

// The answer of the API, or null once it was told why there is none: in the form that asked, or else in passing.
export async function ask(method, address, body, tag, form) {
  const headers = {Accept: "application/json"}, file = body instanceof File;
  const token = document.querySelector("meta[name=csrf-token]");
  if (token) headers["X-CSRF-Token"] = token.content;
  if (body !== undefined) headers["Content-Type"] = file ? FILES[body.name.split(".").pop().toLowerCase()] || "application/octet-stream" : "application/json";
  if (tag) headers["If-Match"] = tag;
  tell(form, []);
  try {
    const answer = await fetch(address, {method, headers, body: body === undefined || file ? body : JSON.stringify(body)});
    const content = (answer.headers.get("Content-Type") || "").includes("json") ? await answer.json() : {};
    if (answer.ok) return content;
    if (answer.status === 401) location.reload();
    if (form && answer.status !== 401) tell(form, content.errors || [content.detail || `${answer.status} ${answer.statusText}`]);
    else say(answer.status === 412 ? "It has changed meanwhile: look at it again, then decide." : content.detail || `${answer.status} ${answer.statusText}`);
  } catch (error) {
    say("The service does not answer; nothing was changed.");
  }
  return null;
}

// Parts that follow what happens, as they came from the service: people open them, and charts are drawn into them.
const came = new WeakMap();
const live = () => [...document.querySelectorAll("[data-live]")].filter((part) => part.id);
const topicsOf = (part) => part.dataset.live.split(" ");
live().forEach((part) => came.set(part, part.outerHTML));

// Parts of the page that show what has changed are taken from the page as it is now.
export async function refresh(topics) {
  const parts = live().filter((part) => !topics || topicsOf(part).some((topic) => topics.has(topic)));
  if (!parts.length) return;
  const answer = await fetch(location.href, {headers: {Accept: "text/html"}}).catch(() => null);
  if (!answer || answer.status >= 500 || answer.status === 429) return;
  const text = await answer.text().catch(() => null);
  if (text === null) return;
  const fresh = new DOMParser().parseFromString(text, "text/html");
  for (const part of parts) {
    const now = fresh.getElementById(part.id);
    if (!now) return location.reload();  // what it showed has ended: the page is another one now
    if (now.outerHTML !== came.get(part)) replace(part, document.adoptNode(now));
  }
}

// What people opened, chose and moved to in a part stays so in the one that takes its place.
const REACHED = "a, button, input, select, summary, [tabindex]";
function replace(part, now) {
  came.set(now, now.outerHTML);
  const kept = (all) => [...part.querySelectorAll(all)], same = (all) => [...now.querySelectorAll(all)];
  const nameOf = (summary) => `${summary.closest("[id]")?.id} ${summary.textContent}`;
  const opened = new Set(kept("details[open] > summary").map(nameOf));
  const chosen = new Set(kept("input:checked").map((box) => `${box.name} ${box.value}`));
  const moved = kept(".scroll").map((box) => box.scrollLeft), at = kept(REACHED).indexOf(document.activeElement);
  part.replaceWith(now);
  same("summary").forEach((summary) => { summary.parentElement.open ||= opened.has(nameOf(summary)); });
  same("input[type=checkbox]").forEach((box) => { box.checked ||= chosen.has(`${box.name} ${box.value}`); });
  same(".scroll").forEach((box, i) => { box.scrollLeft = moved[i] ?? 0; });
  if (at >= 0) same(REACHED)[at]?.focus({preventScroll: true});
  now.dispatchEvent(new Event("renewed", {bubbles: true}));
}

// Ask for a reason, or for a note that may be left out. Resolves to what was written, or null where it was given up.
const FIELDS = {why: {label: "Why", required: true}, note: {label: "Note, where there is more to say", required: false}};
function written(words, name) {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "asked-title");
  const form = document.createElement("form");
  form.method = "dialog";
  form.innerHTML = `<h2 id="asked-title"></h2><label><span></span> <input name="said" maxlength="1000" autocomplete="off"></label>
    <p class="buttons"><button class="loud" value="yes"></button><button value="no" formnovalidate>Leave it</button></p>`;
  form.querySelector("h2").textContent = `${words}?`;
  form.querySelector("span").textContent = FIELDS[name].label;
  form.elements.said.required = FIELDS[name].required;
  form.querySelector(".loud").textContent = words;
  dialog.append(form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    resolve(dialog.returnValue === "yes" ? form.elements.said.value : null);
    dialog.remove();
  }));
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-address]");
  if (!button) return;
  let body = button.dataset.body ? JSON.parse(button.dataset.body) : undefined;
  const {asks} = button.dataset;
  if (asks) {
    const text = await written(button.dataset.words, asks);
    if (text === null) return;
    body = {...body, [asks]: text};
  }
  button.disabled = true;
  const answer = await ask(button.dataset.method, button.dataset.address, body, button.dataset.tag);
  button.disabled = false;
  if (answer && button.dataset.then) return location.assign(button.dataset.then);
  if (answer) say(`${button.textContent.trim()}: done.`);
  await refresh();
});

// What a form says as JSON: numbers as numbers, lists by lines or commas, and nothing of what was left empty.
export function contentOf(form) {
  const body = {};
  for (const field of form.elements) {
    if (!field.name || field.value === "" || (field.type === "checkbox" && !field.checked)) continue;
    if (field.type === "checkbox") body[field.name] = true;
    else if (field.dataset.list !== undefined) (body[field.name] ??= []).push(...listed(field));
    else body[field.name] = field.type === "number" ? Number(field.value) : field.value;
  }
  return body;
}

// Lines, or what stands between commas; each behind the word that the list is of.
function listed(field) {
  const lines = field.value.split(field.tagName === "INPUT" ? "," : "\n").map((line) => line.trim()).filter(Boolean);
  return lines.map((line) => (field.dataset.list ? `${field.dataset.list} ${line}` : line));
}

// A file is the body of what is asked, and all else of the form stands in the address.
function upload(form) {
  const {file, ...rest} = contentOf(form), query = new URLSearchParams();
  for (const [name, value] of Object.entries(rest)) [value].flat().forEach((one) => query.append(name, one));
  const chosen = form.elements.file.files[0];
  query.set("name", chosen.name);
  return ask("POST", `${form.dataset.upload}?${query}`, chosen, undefined, form);
}

// A question of a kind that jobs answer; it is called after what it is of.
function question(form) {
  const content = contentOf(form), {kind, named} = form.dataset;
  return kind ? {kind, request: named ? {...content, name: content[named]} : content} : content;
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.api && !form.dataset.upload) return;
  event.preventDefault();
  const button = event.submitter || form.querySelector("button");
  button.disabled = true;
  const answer = await (form.dataset.upload ? upload(form) : ask("POST", form.dataset.api, question(form), undefined, form));
  button.disabled = false;
  if (answer && form.dataset.then) location.assign(form.dataset.then.replace("{id}", encodeURIComponent(answer.id)));
});

// Forms that filter as one types: the part of the page that they name is taken from the page of the new address.
let typed = 0;
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-instant]");
  if (!form) return;
  const mine = ++typed;
  setTimeout(async () => {
    if (mine !== typed) return;
    const asked = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    const address = location.pathname + (asked.size ? `?${asked}` : "");
    const answer = await fetch(address, {headers: {Accept: "text/html"}}).catch(() => null);
    if (!answer?.ok) return answer ? location.assign(address) : say("The service does not answer.");
    const now = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(form.dataset.instant);
    if (mine !== typed || !now) return;
    document.getElementById(form.dataset.instant).replaceWith(document.adoptNode(now));
    history.replaceState(null, "", address);
  }, 120);
});

// Filters leave nothing empty in the address.
document.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) if (value === "" && event.target.method === "get") event.formData.delete(name);
});

// Where the menu is wider than the screen, the page that is open is in sight.
document.querySelector(".top [aria-current]")?.scrollIntoView({block: "nearest", inline: "nearest"});

const topics = new Set(live().flatMap(topicsOf));
if (topics.size) {
  const changed = new Set();
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  let busy = false;
  const catchUp = async () => {
    if (busy) return;
    busy = true;
    while (changed.size) {
      await pause(100);
      const now = new Set(changed), began = performance.now();
      changed.clear();
      await refresh(now);
      await pause(performance.now() - began);  // the service rests as long as it worked
    }
    busy = false;
  };
  const follow = () => {
    const events = new EventSource(`/events?${new URLSearchParams([...topics].map((topic) => ["topic", topic]))}`);
    events.addEventListener("ready", () => refresh());  // what happened while nobody listened
    for (const topic of topics) events.addEventListener(topic, () => { changed.add(topic); catchUp(); });
    addEventListener("pagehide", () => events.close());
    addEventListener("pageshow", (event) => { if (event.persisted) follow(); }, {once: true});
  };
  follow();
}
