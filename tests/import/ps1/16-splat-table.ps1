$sd = @{ Dim = 6 }
$o = [ordered]@{ a = 1; b = "x" }
$o.b = "y"; $o["c"] = 2
$words = New-Object 'System.Collections.Generic.List[string]'
$words.Add("--network_module=networks.lora"); $words.Add("--caption_extension"); $words.Add(".txt")
$words.Insert(0, "--seed=$($o.c)")
[string[]]$more = "--network_dim", $sd.Dim, "--training_comment", "$($o.b)-$($o.Count)"
& "C:\Python310\python.exe" -u sdxl_train_network.py @words @more
