"""Carry out a release: prove it beside what serves, turn the traffic to it, and let the old containers drain.

Read `begin`, `turn` and `drain` from top to bottom. The journal says what has begun, and `carry_on` continues a release
whose program was killed: it is undone before the turn, and finished after it.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from infra.host import containers, data, docker, first_boot, front, images, plan, secrets, serve, tls
from infra.host import release as releases
from infra.host.blot import blot
from infra.host.generation import Generation, Placed
from infra.host.host import Host
from infra.host.journal import Journal
from infra.host.outcome import HostError, Verdict
from infra.host.release import Release

EDGE_GRACE_SECONDS = 30
"""Time that an edge may take beyond the longest request: it first goes on serving for its idle time (15 s)."""


def carry_on(host: Host) -> None:
    """Do what is left of the release that is under way, if there is one."""
    open_release = host.store.open_release()
    if open_release is None:
        return
    journal = host.store.journal(open_release)
    if journal is None or journal.has("end"):
        # Killed between two files of the beginning, or of the end.
        host.store.close()
        return
    release = releases.parse(journal.entries[0]["release"])
    deployment = _Deployment(host, journal, release)
    deployment.host = replace(host, say=lambda line: journal.add("line", text=deployment.blot(line)))
    deployment.carry_on()


@dataclass
class _Deployment:
    """One release on its way."""

    host: Host
    journal: Journal
    release: Release
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Values of secrets that were read, by parameter and version."""
    in_use: frozenset[str] = frozenset()
    """Values that containers have, if this program did not start them."""

    def carry_on(self) -> None:
        journal = self.journal
        if journal.has("commit"):
            self.drain()
        elif journal.has("back"):
            self.go_back()
        elif journal.has("turn"):
            self.turn(resumed=True)
        elif journal.has("verdict"):
            self.end()
        elif journal.has("undo"):
            self.undo()
        elif journal.has("step"):
            self.fail(
                HostError(
                    f"The release was interrupted in the step `{journal.step}`: the host or its program was stopped. "
                    "Nothing of it is left; deploy again."
                )
            )
        else:
            self.begin()

    # Before the turn: a failure removes what was started, and starts again a database that had to be stopped.

    def begin(self) -> None:
        """Start the release beside what serves, prove it, and go on to the turn."""
        self.step("check")
        try:
            first_boot.wait_for_docker(self.host)
        except HostError as failure:
            # Nothing was started, and without Docker nothing could be undone.
            self.host.say(failure.cause)
            self.judge(Verdict.of(failure, self.journal.step, self.journal.seconds()).to_json())
            self.end()
            return
        try:
            current = self.host.store.current()
            serve.remove_leftovers(self.host, current)
            if current and current.release.id == self.release.id:
                self.repair(current)
                return
            new = self.prove(current)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, what was started must not stay
            self.fail(self.failure(error))
            return
        self.journal.add("turn", generation=new.to_json(), old=current.to_json() if current else None)
        self.turn(resumed=False)

    def prove(self, current: Generation | None) -> Generation:
        """Start what changed beside what serves, and return the generation once all of it is proven."""
        host, graph = self.host, self.host.graph
        made = plan.plan(graph, self.release, current, host.containers(running=True))
        new = made.generation(graph, host.program, host.machine.now())
        self.journal.add("plan", start=[placed.container for placed in made.start.values()])
        free, needed = host.machine.free_memory_mib(), plan.added_memory(made)
        if free < needed:
            total, assumed = host.machine.memory_mib(), graph.host_memory_mib
            fewer = f"it has {total} MiB in all, less than the {assumed} that its plan assumes; "
            less = fewer if total < assumed else ""
            raise HostError(
                f"The host has {free} MiB of free memory, but the release needs {needed} MiB beside what runs: {less}"
                "look at `make status` for what uses it, or set a larger host.instanceType."
            )
        self.step("pull")
        images.fetch(host, self.release.images.values())
        self.step("secrets")
        starting = [graph.services[name] for name in made.start]
        self.secrets = containers.secret_values(host, starting, self.release)
        for service in starting:
            containers.prepare_credentials(host, service, required=True)
        serve.prepare_network(host)
        if any(service.volume for service in starting):
            # Before the service that has the data is stopped for another one.
            data.mount(host)
        for name in made.keep:
            host.say(f"{name}: unchanged, keeps running")
        others = serve.upstreams(graph, new.services)
        for name, placed in made.start.items():
            self.start(name, placed, current, others)
        started = {name: placed for name, placed in made.start.items() if name not in made.once}
        self.step("verify")
        front.verify_edge(host, new, started)
        if new.domain:
            self.step("certificate")
            tls.check_before_turn(host, new, current)
        self.step("steady")
        self.steady(started, current)
        return new

    def start(self, name: str, placed: Placed, current: Generation | None, others: Mapping[str, str]) -> None:
        """Start one container, and wait until it ended or is ready."""
        host, service = self.host, self.host.graph.services[name]
        old = current.services.get(name) if current else None
        self.step(name)
        begun = host.machine.now()
        if service.stateful and old is not None:
            host.say(f"{name}: restarts, since only one of it may run; requests that need it wait or fail until then")
            host.must(docker.stop([old.container], self.stop_seconds), f"Stopping {name}", seconds=self.patience)
        containers.create(host, service, placed, self.release, self.secrets, others)
        if service.once:
            containers.run_once(host, service, placed)
        else:
            containers.wait_until_ready(host, service, placed, old)
        state = "ended" if service.once else "ready"
        host.say(f"{name}: {state} after {host.machine.now() - begun:.1f} s")

    def steady(self, started: Mapping[str, Placed], current: Generation | None) -> None:
        """Wait until all new containers together were ready for some seconds without a restart. Raises HostError."""
        host, services, seconds = self.host, self.host.graph.services, self.host.graph.seconds
        since = begun = host.machine.now()
        while host.machine.now() - since < seconds.steady:
            host.machine.sleep(containers.LOOK_SECONDS)
            containers.check_running(host, started, services)
            for name, placed in started.items():
                old = current.services.get(name) if current else None
                reason = containers.unready(host, services[name], placed, old)
                if reason is None:
                    continue
                since = host.machine.now()
                if since - begun > seconds.ready:
                    raise HostError(
                        f"{name} did not stay ready for {seconds.steady:g} s: {reason}.",
                        service=name,
                        log=host.log_end(placed.container),
                    )

    def repair(self, current: Generation) -> None:
        """Start again what is missing of the release that serves already."""
        self.step("repair")
        self.in_use = secrets.in_use(self.host)
        problems = serve.ensure(self.host, current)
        if problems:
            raise HostError(problems[0])
        front.watch(self.host, current, ())
        self.judge(Verdict("repair", "", seconds=self.journal.seconds()).to_json())
        self.end()

    def fail(self, failure: HostError) -> None:
        """End the release before the turn."""
        verdict = Verdict.of(failure, self.journal.step, self.journal.seconds())
        self.host.say(failure.cause)
        self.journal.add("undo", verdict=verdict.to_json())
        self.undo()

    def undo(self) -> None:
        """Remove what was started; start what had to be stopped."""
        host = self.host
        current = host.store.current()
        serve.remove_leftovers(host, current)
        if current:
            serve.start_stopped(host, current)
        self.judge(self.entry("undo")["verdict"])
        self.end()

    # From the turn on: the release is finished, or traffic goes back.

    def turn(self, *, resumed: bool) -> None:
        """Turn the public port to the new edge and watch; go back if anything answers wrongly."""
        host = self.host
        entry = self.entry("turn")
        new = Generation.of_json(entry["generation"])
        started = tuple(
            name for name, placed in new.services.items() if placed.container in self.entry("plan")["start"]
        )
        self.step("turn")
        try:
            if resumed:
                # The program that read the secrets is gone, and the containers may be down after a restart of the host.
                self.in_use = secrets.in_use(host)
                serve.ensure(host, new)
            else:
                host.must(docker.promote(new.containers), "Updating the containers")
                front.turn(host, front.target(new))
            self.step("watch")
            front.watch(host, new, started)
            if new.domain:
                self.step("certificate")
                tls.wait_after_turn(host, new, Generation.of_json(entry["old"]) if entry["old"] else None)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the old containers still run
            failure = self.failure(error)
            verdict = Verdict.of(failure, self.journal.step, self.journal.seconds())
            self.journal.add("back", verdict=verdict.to_json())
            self.go_back()
            return
        self.journal.add("commit")
        self.drain()

    def go_back(self) -> None:
        """Turn the public port to the old edge, let the new one drain, and remove what was started."""
        host, entry = self.host, self.entry("turn")
        old = Generation.of_json(entry["old"]) if entry["old"] else None
        new = Generation.of_json(entry["generation"])
        stateful = {name for name, service in host.graph.services.items() if service.stateful}
        replaced = [one.container for name, one in new.services.items() if name in stateful]
        if replaced := [name for name in replaced if name in new.without(old)]:
            host.must(docker.remove(replaced), "Removing what only one may run of")
        if old is None:
            front.turn(host, None)
        else:
            serve.ensure(host, old)
        if not self.journal.has("verdict"):
            host.say("traffic is back at the containers that served before")
            self.judge(self.entry("back")["verdict"])
        self.stop(new, old)
        self.end()

    def drain(self) -> None:
        """Record that the release serves, and stop the old containers once the old edge has no connections left."""
        host, entry = self.host, self.entry("turn")
        new = replace(Generation.of_json(entry["generation"]), since=self.entry("commit")["at"])
        old = Generation.of_json(entry["old"]) if entry["old"] else None
        host.store.set_current(new)
        if not self.journal.has("verdict"):
            seconds = self.journal.seconds()
            host.say(f"serves after {sum(seconds.values()):.1f} s")
            self.judge(Verdict("watch", "", seconds=seconds).to_json())
        if old is not None:
            self.step("drain")
            self.stop(old, new)
        self.step("prune")
        kept = host.store.kept()
        images.prune(host, {image for generation in kept for image in generation.release.images.values()})
        host.store.remove_programs({host.program, *(generation.program for generation in kept)})
        self.end()

    def stop(self, leaving: Generation, staying: Generation | None) -> None:
        """Stop the containers of a generation that another does not use.

        The edge is the first: its end says that no request is left for the others.
        """
        host = self.host
        gone = leaving.without(staying)
        existing = [name for name in gone if name in host.states(gone)]
        edge = leaving.services[leaving.edge].container if leaving.edge else None
        if edge in existing:
            host.must(docker.stop([str(edge)], self.stop_seconds), "Stopping the edge", seconds=self.patience)
        if rest := [name for name in existing if name != edge]:
            host.must(docker.stop(rest, self.stop_seconds), "Stopping containers", seconds=self.patience)
        serve.remove_leftovers(host, staying)

    # What all steps use.

    @property
    def stop_seconds(self) -> int:
        return round(self.host.graph.seconds.request) + EDGE_GRACE_SECONDS

    @property
    def patience(self) -> float:
        return self.stop_seconds + 30

    def step(self, name: str) -> None:
        """Begin a step."""
        self.journal.add("step", step=name)
        self.journal.add("line", text=name)

    def entry(self, kind: Any) -> dict[str, Any]:
        """Return the last entry of a kind, which is known to exist."""
        found = self.journal.last(kind)
        assert found is not None, kind  # noqa: S101 - carry_on looked
        return found

    def failure(self, error: Exception) -> HostError:
        """Return an error as a failure, without the values of secrets."""
        if isinstance(error, HostError):
            failure = error
        else:
            failure = HostError(
                f"The host's program failed: {type(error).__name__}: {error}. This is a fault of Slipway.",
                log=traceback.format_exc(),
            )
        return HostError(
            self.blot(failure.cause),
            service=failure.service,
            exit_code=failure.exit_code,
            out_of_memory=failure.out_of_memory,
            log=self.blot(failure.log),
        )

    def blot(self, text: str) -> str:
        """Return a text without the values of secrets."""
        return blot(text, [*self.secrets.values(), *self.in_use])

    def judge(self, verdict: Mapping[str, Any]) -> None:
        """Write the verdict, which `follow` reports."""
        self.journal.add("verdict", verdict=verdict)

    def end(self) -> None:
        """Let the next release begin."""
        self.journal.add("end")
        self.host.store.close()
