"""The command: `python -m bench --help`."""

import argparse
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from bench import handoff, hotspots, machine, programs, report, rounds, site, waiting
from bench.checks import Wrong
from bench.contenders import Contender, contenders
from bench.figures import figures


def main(words: Sequence[str]) -> int:
    """0 measured, 1 something is missing or measured wrong, 2 bad usage."""
    options = _options(words)
    signal.signal(signal.SIGTERM, _end)
    try:
        if options.peers:
            programs.install_peers()
        if options.profile:
            with site.prepared() as here:
                print(hotspots.profile(_named([options.profile])[0], here, options.seconds))
            return 0
        if options.waiting:
            print(_waiting())
            return 0
        _print(_measure(options), options)
    except KeyboardInterrupt:
        return 130
    except (programs.Missing, Wrong, RuntimeError) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    return 0


def _measure(options: argparse.Namespace) -> report.Report:
    chosen = _named(options.only) if options.only else contenders(options.peers)
    if (load := machine.load_average()) > 0.5:
        print(
            f"bench: this machine was busy just now (load {load:.1f}); figures will be noisier",
            file=sys.stderr,
        )
    with site.prepared() as here:
        facts = machine.facts(here.store)
        measured = rounds.run(chosen, here, options.rounds, _say)
    _say("")
    return report.Report(facts, options.rounds, figures(measured))


def _waiting() -> str:
    """What waiting costs, and how fast a line moves."""
    _say("calls that wait, and calls that do not")
    costs = waiting.markdown(str(programs.store_server()))
    _say("hand-off")
    with site.prepared() as here:
        gap = handoff.measure(here, seconds=3)
    _say("")
    return (
        f"{costs}\n\nFrom an answer's last byte to the first byte of the next in line at the upstream: "
        f"{gap.p50_us:.0f} us (p50), {gap.p99_us:.0f} us (p99), of {gap.count:,} hand-offs."
    )


def _print(result: report.Report, options: argparse.Namespace) -> None:
    if options.write_readme:
        report.write_into(programs.ROOT / "README.md", result.markdown())
    if options.json:
        print(result.json())
    elif options.markdown:
        print(f"{report.OPEN}\n{result.markdown()}{report.CLOSE}")
    else:
        print(result.markdown(), end="")


def _options(words: Sequence[str]) -> argparse.Namespace:
    names = [one.name for one in contenders(peers=True)]
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="What one call costs in the proxy, side by side with Envoy."
    )
    add = parser.add_argument
    add(
        "--rounds",
        type=_positive,
        default=4,
        metavar="N",
        help="more rounds, steadier medians (default 4: under two minutes)",
    )
    add("--only", nargs="+", choices=names, metavar="NAME", help=f"some contenders: {', '.join(names)}")
    add("--peers", action="store_true", help="proxy.py and mitmdump too, in a venv of their own")
    add("--waiting", action="store_true", help="what waiting costs, instead of the table")
    add("--json", action="store_true", help="every figure with its spread")
    add("--markdown", action="store_true", help="the README's block, with its markers")
    add("--write-readme", action="store_true", help="put the block into README.md")
    add(
        "--profile",
        choices=names,
        metavar="NAME",
        help="where one contender's time goes, instead of the table",
    )
    add("--seconds", type=_positive, default=10, metavar="N", help="how long --profile samples (default 10)")
    return parser.parse_args(words)


def _named(names: Sequence[str]) -> list[Contender]:
    return [one for one in contenders(peers=True) if one.name in names]


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)


def _say(what: str) -> None:
    """Progress, on one line where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)
    elif what:
        print(what, file=sys.stderr, flush=True)


def _end(*_: object) -> NoReturn:
    sys.exit(143)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
