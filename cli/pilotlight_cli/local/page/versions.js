/* The version that answers, and the one beside it: the page of both, which starts them first. Typed values are kept. */
const KEPT = "pilotlight-typed";

for (const id of ["version", "beside"])
  at(id).append(...model.versions.map(name =>
    make("option", {value: name, textContent: name === model.pinned ? `${name} (pinned)` : name})));
at("version").value = model.title;
at("beside").value = model.other ? model.other.title : "";
at("versions").hidden = model.versions.length < 2;

at("versions").addEventListener("submit", async event => {
  event.preventDefault();
  const chosen = [at("version").value, at("beside").value];
  const query = new URLSearchParams({version: chosen[0], beside: chosen[1]});
  at("choose").disabled = true;
  at("versions-error").hidden = true;
  at("starting").textContent = `Starting ${chosen.filter(Boolean).join(" and ")} ...`;
  try {
    const reply = await fetch(`${location.pathname}?${query}`);
    if (!reply.ok) throw new Error(await reply.text());
    sessionStorage.setItem(KEPT, JSON.stringify(controls.map(control => [control.name, control.value])));
    location.assign(`?${query}`);
  } catch (error) {
    at("versions-error").textContent = error.message;
    at("versions-error").hidden = false;
    at("starting").textContent = "";
    at("choose").disabled = false;
  }
});

const kept = new Map(JSON.parse(sessionStorage.getItem(KEPT) ?? "[]"));
sessionStorage.removeItem(KEPT);
for (const control of controls) if (kept.has(control.name)) control.value = kept.get(control.name);
if (kept.size) showCurl();
