param(
    [string]$Mode = "sdxl",
    [int]$Dim = 24,
    [switch]$Fast
)
function Add-Option([string]$name, $value = $null) {
    if ($null -eq $value) { return "--$name" }
    return "--{0}={1}" -f $name, $value
}
$config = @{
    network_dim = $Dim
    'network_alpha' = $Dim / 2
    resolution = "1024,1024"
}
$script = "train_network.py"
if ($Mode -ieq "SDXL") { $script = "sdxl_" + $script }
$list = @()
foreach ($key in $config.Keys) { $list += "--$key=$($config[$key])" }
$list += Add-Option "cache_latents"
$list += Add-Option seed 42
if ($Fast) { $list += "--lowram" }
$py = Join-Path $PSScriptRoot "venv\Scripts\python.exe"
& $py -m accelerate.commands.launch $script --network_module=networks.lora --caption_extension=.txt $list
