// Where the browser comes back to with a code; goes on to where the reader had been.

import { complete } from "../../oauth.js";
import { leaveReason } from "../../session.js";

let place = "";
try {
  place = await complete(location.search);
} catch (error) {
  leaveReason(error.message);
}
// Replaced, so that the code stays out of the history.
location.replace(new URL(`../../${place}`, location.href));
