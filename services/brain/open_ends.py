"""Words and phrases after which a sentence goes on, by language."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenEnds:
    """Lower case, as `words_of` gives them."""

    last: frozenset[str]
    """A sentence that ends in one of these is not over."""
    endings: frozenset[str]
    """Two to five words that do the same: "i was wondering"."""
    closed: frozenset[str]
    """Endings that look open and are not: "hold on", "i think so"."""
    rather_open: frozenset[str]
    """Last words that mostly want an object: "i'd like to book"."""
    alone: frozenset[str]
    """Said alone, the head of something longer: "hello", "well"."""
    clauses: frozenset[str]
    """First words of a clause that wants a main clause: "if", "when"."""


def _open(
    last: str, endings: str, closed: str = "", rather_open: str = "", alone: str = "", clauses: str = ""
) -> OpenEnds:
    def listed(text: str) -> frozenset[str]:
        return frozenset(" ".join(one.split()) for one in text.split(",") if one.strip())

    return OpenEnds(
        frozenset(last.split()),
        listed(endings),
        listed(closed),
        frozenset(rather_open.split()),
        frozenset(alone.split()),
        frozenset(clauses.split()),
    )


_OPEN_ENDS = {
    "en": _open(
        last=(
            "a an the and or but because cause so if than that to of at by for from in into on onto with without "
            "my your our their his its it's that's there's he's she's i'm i'd i'll i've we're we'd we'll we've "
            "they're you're is are was were am um uh er erm uhm hmm mm like as about between until till during "
            "via per very every each mr mrs ms dr miss saint double triple treble dot dash underscore hyphen "
            "point plus slash past which whether i we he they would will could should might must not gonna wanna "
            "also under"
        ),
        endings=(
            "the one, and then, but then, so then, or then, i was wondering, i wanted to ask, could you tell "
            "me, can you "
            "tell me, can i, could i, may i, could you, can you, do you, do you have, i have, i think, i guess, i "
            "mean, you know, sort of, kind of, let me see, let me think, let me check, let me look, let's see, "
            "one moment, one second, just a second, just a moment, hang on, hold on, hold on a second, give me a "
            "second, wait a second, i want, i need, i'd like to know, i would like to know, i'd like to, the "
            "thing is, the problem is, what i need is, a quarter, the reason i'm calling, i just, i just wanted, "
            "i really, it's just, my name, my number, my email, i can't, one moment please, one second please, "
            "just a moment please, yes well, oh well, so well, um well, and well, no well, i need to know, i want "
            "to know, i want to know what, tell me what, tell me how, tell me how much, tell me when, tell me "
            "where, tell me who, know how, know when, know where, ask how, ask when, ask what, ask how much, do you "
            "know, i want to, i would, i will, i could, let me look it up, "
            "let me find it, let me get it, supposed to"
        ),
        closed=(
            "that's the one, that is the one, i think so, i hope so, i guess so, i believe so, like that, do "
            "that, about that, want that, for "
            "that, with that, not that, of that, is that, was that, how's that, that was it, and that, take that, "
            "i'm not, of course not, rather not, probably not, certainly not, not well, very well, as well, feel "
            "well, too well, okay then, ok then, fine then, bye then, what for, who with, how about that, not "
            "really, if not, or not, guess not, hope not, think not, not yet, what time is it, what it's like, "
            "i'd love to, i don't want to, i'd like that, it isn't, later on, so far, come in, put through, i "
            "don't think so, do so, say so, afraid so, afraid not, me too, why not, better not, please do, this "
            "is it, where from, i do, i have not, i already have, all i have, what i have, that's what i have, "
            "all i want, all i need, what i need, that's what i want, yes i would, yes i will, yes i am, yes i "
            "could, yes it is, yeah it is, no it is, yes i was, yes they are, yes we are, yes there is, think it "
            "is, believe it is, what it is, where it is, who it is, how it is, if i could, if you could, if you "
            "can, if you would, if there is, you like, now on, carry on, going on, so on, if so, me in, us in, "
            "fit in, get in, drop in, check in, fill in, come by, stop by, drop by, if you want to, don't want "
            "to, don't have to, don't need to, where to, what i'm looking for, number i'm calling from, one i'm "
            "calling from, phone i'm calling from, number i am calling from, i see, a call, yes please, no "
            "thanks, okay thanks, how i am, who i am, yes you could"
        ),
        rather_open=(
            "book make change get have take give bring find put tell ask let call speak talk schedule reschedule "
            "move see say want need send buy order pay next new last first second this these those another other "
            "some any no his her one's number's cancel calling wondering trying hoping going looking question "
            "questions problem issue someone somebody anything something available"
        ),
        alone=(
            "yes yeah yep okay ok right hello hi hey so well good morning afternoon evening sure actually please "
            "sorry thanks oh ah there alright listen look anyway great fine maybe perhaps"
        ),
        clauses="if when while since although though because unless whenever",
    ),
    "de": _open(
        last=(
            "der die das den dem des ein eine einen einem einer eines und oder aber weil denn dass daß wenn ob "
            "als zu zum zur von vom mit für auf an am im in ins bei beim nach vor über unter um aus bis durch "
            "gegen ohne mein meine meinen meiner meinem ihr ihre ihren sein seine unser unsere ich wir ist sind "
            "war bin hätte würde möchte könnte kann äh ähm öh hm mm also sondern sowie beziehungsweise herr frau "
            "punkt minus unterstrich doppel sehr dann wo wie so halb viertel"
        ),
        endings=(
            "ich wollte, ich habe, ich hätte gern, ich hätte gerne, ich würde gern, ich würde gerne, können sie, "
            "moment mal, einen moment, mal sehen, lassen sie mich sehen, das heißt, und zwar, ich glaube, ich "
            "denke, mein name, meine nummer"
        ),
        closed=(
            "und wie, ich auch, das ist es, so ist das, ich bin das, passt das, geht das, genau das, was ist das, "
            "das wäre das, stimmt das, was kostet das, ist das so, um wie viel uhr ist das, ja das ist, weiter "
            "so, guten tag frau"
        ),
        rather_open=("wollte brauche suche nächste nächsten nächster neue neuen letzten diese diesen rufe"),
        alone=("ja okay ok hallo guten tag so gut genau grüß gott morgen"),
        clauses="wenn weil falls obwohl da während",
    ),
    "fr": _open(
        last=(
            "le la les un une des du de d l à au aux et ou mais parce que qu si pour par avec sans dans en sur "
            "sous chez mon ma mes votre vos notre nos leur ce cet cette ces je j' j tu il elle on nous vous est "
            "sont c'est euh heu hum donc alors puis très monsieur madame point tiret arobase quand comme entre "
            "avant après vers"
        ),
        endings=(
            "je voudrais, j'aimerais, je souhaite, est-ce que, pouvez vous, pouvez-vous, je voulais, il y a, "
            "attendez, un instant, un moment, je crois, je pense, mon nom, mon numéro, c'est à dire, je m'appelle"
        ),
        closed=(
            "c'est ça, je ne sais pas où, je crois que oui, je pense que oui, et vous, avec vous, pour vous, chez "
            "vous, aidez-nous, il y en a, j'en ai, merci à vous, et alors, en avant, et après, jour après, ça "
            "alors, le jour avant"
        ),
        rather_open=("prendre faire changer avoir réserver prochain prochaine"),
        alone=("oui ouais ok bonjour bonsoir allô alors bon bien voilà"),
        clauses="si quand lorsque comme parce puisque",
    ),
    "es": _open(
        last=(
            "el la los las un una unos unas de del a al y e o u pero porque que si para por con sin en sobre "
            "entre mi mis su sus tu nuestro nuestra yo es son está eh em este pues muy señor señora punto guion "
            "arroba como cuando hasta desde antes quiero quisiera necesito puedo tengo hay"
        ),
        endings=(
            "me gustaría, quería, me llamo, mi nombre, mi número, un momento, a ver, déjeme ver, creo que, o sea, "
            "lo que pasa, es que"
        ),
        closed=(
            "creo que sí, y usted, así es, cómo es, qué es, de hoy, cómo está, lo que hay, no puedo, no quiero, "
            "qué tal está"
        ),
        rather_open=("hacer reservar cambiar tener próximo próxima hablar pedir"),
        alone=("sí si vale hola buenas buenos bueno ok oiga mire"),
        clauses="si cuando como porque aunque mientras",
    ),
    "it": _open(
        last=(
            "il lo la i gli le un uno una di del della dei delle dello a al alla ai e ed o ma perché che se per "
            "con su sul sulla da dal dalla in nel nella tra fra mio mia miei suo sua nostro io è sono ehm eh "
            "allora quindi molto signor signora punto trattino chiocciola come quando vorrei posso devo ho"
        ),
        endings=(
            "mi chiamo, il mio nome, il mio numero, un momento, un attimo, vediamo, penso che, credo che, volevo, "
            "mi piacerebbe, cioè"
        ),
        closed=(
            "com'è, cos'è, che ora è, lo so io, così com'è, quanto è, va bene così, non posso, ci sono, chi è, "
            "dov'è, non lo ho"
        ),
        rather_open=("prenotare fare cambiare avere parlare prossimo prossima"),
        alone=("sì si ok pronto salve buongiorno buonasera allora bene ciao"),
        clauses="se quando perché siccome mentre",
    ),
    "nl": _open(
        last=(
            "de het een en of maar omdat want dat als van voor met op aan in bij naar uit om te tot door over "
            "tussen zonder mijn uw zijn haar ons onze ik wij we is ben was eh euh uh ehm dus dan heel meneer "
            "mevrouw punt streepje apenstaartje wil zou kan moet heb"
        ),
        endings=(
            "ik wil graag, ik zou graag, mijn naam, mijn nummer, een moment, even kijken, momentje, ik denk, ik "
            "bedoel, kunt u, zou u"
        ),
        closed=(
            "dat klopt dan, wat is dat, is dat, doe dat, kan dat, hoe is het, dat is het, klopt het, wat kost "
            "het, dat was het, oké dan, goed dan, ik wel, dat kan, hoe laat is het, ik bel u over, tot dan, geen "
            "van"
        ),
        rather_open=("maken afspreken wijzigen volgende nieuwe"),
        alone=("ja oké hallo goedemorgen goedemiddag goedendag dag goed"),
        clauses="als omdat wanneer toen terwijl",
    ),
    "pt": _open(
        last=(
            "o a os as um uma uns umas de do da dos das e ou mas porque que se para pra por pelo pela com sem em "
            "no na nos nas sobre entre até meu minha meus minhas seu sua eu é são está hum eh ahn então muito "
            "senhor senhora ponto traço arroba como quando desde quero queria gostaria preciso posso tenho"
        ),
        endings=(
            "meu nome, meu número, um momento, deixa eu ver, deixe-me ver, eu acho que, acho que, me chamo, "
            "chamo-me, quer dizer, ou seja"
        ),
        closed=(
            "acho que sim, é isso, como é, o que é, não posso, não quero, como está, não tenho, e você, qual é, "
            "onde é, quanto é, sim é, que horas são"
        ),
        rather_open=("marcar fazer mudar ter falar próximo próxima"),
        alone=("sim ok olá oi bom boa alô certo"),
        clauses="se quando como porque embora enquanto",
    ),
}


def open_ends(language: str) -> OpenEnds:
    """`language`: ISO 639-1; one that has no set of its own is taken for English."""
    return _OPEN_ENDS.get(language, _OPEN_ENDS["en"])
