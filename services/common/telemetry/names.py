"""Every name of a span or an attribute, to be used as `names.TURN`. What each means is told in schema/.

`sip.*`, `rtp.*` and `voice.*` are ours, for OpenTelemetry has no conventions for speech or SIP yet; the others follow
its conventions. What people said goes only under a name with `.pii.` in it, and only when the settings allow it.
"""

from services.common.telemetry.schema.asr import *
from services.common.telemetry.schema.call import *
from services.common.telemetry.schema.model import *
from services.common.telemetry.schema.rtp import *
from services.common.telemetry.schema.sip import *
from services.common.telemetry.schema.spans import *
from services.common.telemetry.schema.tool import *
from services.common.telemetry.schema.transfer import *
from services.common.telemetry.schema.tts import *
from services.common.telemetry.schema.turn import *
