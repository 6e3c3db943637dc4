"""Why a turn came late, or what else went wrong with a call: spans in, findings and a paragraph out."""
