/* What answers the form: the function that serves this page. */
async function post(path, text) {
  const response = await fetch(path, {method: "POST", headers: {"content-type": "application/json"}, body: text});
  const reply = await response.json();
  if (response.ok) return reply;
  throw Object.assign(new Error(reply.error ?? reply.message ?? `status ${response.status}`), {path: reply.path});
}
