"""What the files of a new agent say. @NAME@ is its name, @SPOKEN@ the same as one says it."""

AGENT = """\
# Check a change with: tandem agents check . Every key: docs/agents.md
name: @NAME@
language: en # what callers speak; "auto": whatever is heard
timezone: Europe/London # for "tomorrow at ten"

# The script needs no key and no network. Any LiteLLM id takes its place, e.g. openai/gpt-5-mini with OPENAI_API_KEY.
model: tandem/script
# model_options: {temperature: 0.3}

variables: # for {{ company }} in prompts, sentences and script; other values by_trunk and by_number
  company: Example Limited

greeting: "Hello, this is {{ company }}. How can I help you?"
goodbye: "Thank you for calling. Goodbye!"

prompts:
  system: prompts/system.md
script: script.yaml
tools: tools.yaml

# People to put callers through to, when they ask for one or the agent cannot help:
# escalation:
#   destination: "sip:reception@pbx.example"

# Tools of an MCP server: a program that is started in this folder, or `url:` for one over HTTP. `python` is Tandem's
# own, which has the MCP SDK.
# mcp_servers:
#   crm:
#     command: python
#     args: [crm_server.py]
#     tools: [find_customer]
"""

PROMPT = """\
You are the telephone assistant of {{ company }}. Now it is {{ now }}.

How you speak:
- This is a phone call. One or two short sentences at a time. No lists, no markdown, no emoji.
- What you read comes from speech recognition and can be wrong. If a name or a number looks odd, ask again.
- Read back what you are about to change, and wait for a yes.

What you do:
- Answer questions about {{ company }}: it is open on weekdays from nine to five.
- Use your tools for everything else; never invent what a tool would know. If one fails, say so.
- When the caller has nothing more to ask, say goodbye and call end_call.
"""

TOOLS = """\
# What the agent can do. Each tool says how it is called and whether it changes anything (`side_effect`): then it gets
# an idempotency key and is never done twice. docs/agents.md tells of OpenAPI, MCP and Python tools.
tools: []
# Take away the brackets above, and the marks below. ${SHOP_TOKEN} gets its value by `--set SHOP_TOKEN=...`, or under
# `brain.variables` in the settings.
#  - name: find_order
#    description: The state of an order, by its number.
#    method: GET
#    url: https://shop.example/orders/{number}
#    headers: {Authorization: "Bearer ${SHOP_TOKEN}"}
#    side_effect: false
#    deadline_ms: 3000
#    say_while: "Let me look."
#    say_failed: "I'm sorry, I can't see our orders right now."
#    parameters:
#      type: object
#      properties:
#        number: {type: string, pattern: "^[0-9]{4,10}$", description: Digits only.}
#      required: [number]
#      additionalProperties: false
"""

SCRIPT = """\
# What `tandem/script` says without a model: a wish is recognised by its examples. docs/agents.md tells how tools are
# called from here.
slots: {} # what is asked for, such as a day or a name

intents:
  hours:
    examples:
      - what are your opening hours
      - when are you open
      - are you open on Saturday
      - until what time are you there
      - when do you close
    say: "We're open on weekdays from nine to five."

  thanks:
    action: thanks
    examples: [thank you, thanks a lot, that's all, no that's it, nothing else]

  bye:
    action: end
    examples: [goodbye, bye, bye bye, thanks bye, have a nice day]

  greeting:
    action: greet
    examples: [hello, hi there, good morning, are you there]
    say: "Hello, this is {{ company }}. How can I help you?"

replies:
  unclear:
    - "Sorry, I didn't get that. I can tell you our opening hours."
    - "I'm still not sure what you need. You can say, for example, when are you open."
"""

TEST = """\
# A conversation, and what is expected of it. Run with: tandem agents test
steps:
  - expect: {says: "How can I help you?"}
  - caller: "Hello, when are you open?"
    expect: {says: "nine to five", calls: []}
  - caller: "No thanks, goodbye."
    expect: {says: Goodbye, ends: true}
"""
