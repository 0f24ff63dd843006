// Where the browser arrives with a token that it brought from a provider (POST /login).

import { leaveReason, rememberToken } from "../../session.js";

const said = (name) => document.querySelector(`meta[name="warren-${name}"]`)?.content;

const token = said("token");
if (token !== undefined) rememberToken(token);
else leaveReason(said("refusal") ?? "there is no token");
location.replace(new URL("../../", import.meta.url));
