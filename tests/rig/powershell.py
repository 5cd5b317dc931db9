"""PowerShell, parsed by the grammar of tree-sitter and looked at as PSScriptAnalyzer does: what can be known of it without Windows."""

from __future__ import annotations

from collections.abc import Iterator

import tree_sitter
import tree_sitter_powershell

#: Commands that may be used, with their parameters in Windows PowerShell 5.1 that may. All come with Windows Server 2012 and later.
COMMANDS: dict[str, set[str]] = {
    "Add-Content": {"-Path", "-Value", "-Encoding"},
    "ConvertFrom-Json": set(),
    "ForEach-Object": set(),
    "Get-Content": {"-Path", "-Raw", "-ErrorAction"},
    "Get-DnsClientServerAddress": {"-AddressFamily", "-InterfaceIndex"},
    "Get-FileHash": {"-Path", "-Algorithm"},
    "Get-ItemProperty": {"-Path", "-Name", "-ErrorAction"},
    "Get-NetAdapter": {"-Name", "-ErrorAction"},
    "Get-NetIPAddress": {"-InterfaceIndex", "-IPAddress", "-AddressFamily", "-ErrorAction"},
    "Get-NetRoute": {"-DestinationPrefix", "-InterfaceIndex", "-ErrorAction"},
    "Get-NetTCPConnection": {"-State", "-LocalPort", "-ErrorAction"},
    "Get-PSDrive": {"-Name"},
    "Get-Service": {"-Name", "-ErrorAction"},
    "Get-Volume": {"-DriveLetter"},
    "icacls.exe": set(),
    "Invoke-WebRequest": {"-Uri", "-OutFile", "-UseBasicParsing"},
    "Join-Path": {"-Path", "-ChildPath"},
    "New-NetIPAddress": {"-InterfaceIndex", "-IPAddress", "-PrefixLength", "-DefaultGateway"},
    "Out-Null": set(),
    "Remove-Item": {"-Path", "-Force", "-Recurse", "-ErrorAction"},
    "Set-Service": {"-Name", "-StartupType"},
    "Start-Process": {"-FilePath", "-ArgumentList", "-Wait", "-PassThru"},
    "Start-Service": {"-Name"},
    "Stop-Service": {"-Name", "-Force"},
    "Test-Path": {"-Path"},
    "Where-Object": {"-Property", "-EQ", "-NE", "-Match"},
}
#: Operators, which the grammar takes for parameters where a filter has no braces.
_OPERATORS = {"-eq", "-ne", "-match"}
AUTOMATIC = {"$_", "$true", "$false", "$null", "$args", "$lastexitcode", "$erroractionpreference"}

_PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))


def findings(script: str) -> list[str]:
    """What is wrong with it, each with its line; [] when nothing is."""
    root = _PARSER.parse(script.encode()).root_node
    nodes = list(_below(root))
    broken = [node for node in nodes if node.is_error or node.is_missing]
    if broken or root.has_error:
        return [_at(node, "this cannot be parsed") for node in broken or [root]]
    assigned = set(_assigned(nodes))
    found = []
    for node in nodes:
        if node.type == "command":
            found += _of_command(node)
        elif node.type == "variable":
            name = _text(node).strip("{}").lower()
            if not name.startswith(("$env:", "${env:")) and name not in AUTOMATIC | assigned:
                found.append(_at(node, "this variable has no value"))
    return found


def _below(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    yield node
    for child in node.children:
        yield from _below(child)


def _assigned(nodes: list[tree_sitter.Node]) -> Iterator[str]:
    for node in nodes:
        if node.type == "assignment_expression":
            yield _text(node.children[0]).lower()
        elif node.type in ("foreach_statement", "script_parameter"):
            yield from (_text(child).lower() for child in node.children if child.type == "variable")


def _of_command(node: tree_sitter.Node) -> Iterator[str]:
    named = node.child_by_field_name("command_name")
    name = _text(named) if named else ""
    if name not in COMMANDS:
        yield _at(node, "this is no command that may be used, or the alias of one")
        return
    own = {parameter.lower() for parameter in COMMANDS[name]} | _OPERATORS
    for child in _below(node):
        inner = child.type == "command_parameter" and _command_of(child) == node
        if inner and _text(child).rstrip(":").lower() not in own:
            yield _at(child, f"{name} has no such parameter")


def _command_of(node: tree_sitter.Node) -> tree_sitter.Node | None:
    above = node.parent
    while above is not None and above.type != "command":
        above = above.parent
    return above


def _text(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode()


def _at(node: tree_sitter.Node, what: str) -> str:
    return f"line {node.start_point[0] + 1}: {what}: {_text(node)[:60]}"
